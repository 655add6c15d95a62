//! What must not compile.

#[test]
fn a_recorded_value_comes_from_the_commit_loop_alone() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
