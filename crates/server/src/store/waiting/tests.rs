use chartgate_access::login::logout::PendingLogout;

use super::super::tests::Scratch;
use super::*;

fn logout(now: Timestamp) -> PendingLogout {
    PendingLogout { client_id: None, hint: None, target: None, created_at: now }
}

fn ip(network: u32) -> IpAddr {
    IpAddr::V4(network.into())
}

/// As many rows of a network as these, from this number on.
fn fill(sql: &Sql<'_>, of: u32, count: i64, now: Timestamp) -> Result<(), StoreError> {
    for number in 0..count {
        sql.add_logout_request(&format!("{of} {number}"), ip(of), &logout(now))?;
    }
    Ok(())
}

fn rows(sql: &Sql<'_>) -> Result<i64, StoreError> {
    let text = "SELECT COUNT(*) AS count FROM logout_requests";
    Ok(sql.first("logout_requests", text, &[], |row| row.get("count"))?.unwrap_or_default())
}

#[test]
fn of_one_network_so_many_wait_and_another_is_not_kept_out() {
    let scratch = Scratch::new("waiting");
    let (now, later) = (Timestamp::from_unix(1000), Timestamp::from_unix(1600));
    let came = scratch.store.write_blocking(move |sql| {
        let room = |from, at| sql.make_room(Waiting::Logouts, from, at);
        fill(sql, 1, OF_A_NETWORK - 1, now)?;
        let before = room(ip(1), now)?;
        sql.add_logout_request("one more", ip(1), &logout(now))?;
        Ok::<_, StoreError>([before, room(ip(1), now)?, room(ip(2), now)?, room(ip(1), later)?])
    });
    assert_eq!(came.unwrap(), [Room::Yes, Room::No, Room::Yes, Room::Yes]);
    // An address of another's /64 is its network's.
    assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::2".parse().unwrap()));
}

#[test]
fn where_all_have_too_many_the_network_with_most_loses_its_oldest() {
    let scratch = Scratch::new("waiting-all");
    let now = Timestamp::from_unix(1000);
    let (rows, left) = scratch
        .store
        .write_blocking(move |sql| {
            fill(sql, 1, 2500, now)?;
            sql.add_logout_request("oldest", ip(2), &logout(Timestamp::from_unix(999)))?;
            fill(sql, 2, 2999, now)?;
            fill(sql, 3, OF_ALL - 5500, now)?;
            for number in 0..5 {
                assert_eq!(sql.make_room(Waiting::Logouts, ip(4), now)?, Room::Yes);
                sql.add_logout_request(&format!("new {number}"), ip(4), &logout(now))?;
            }
            Ok::<_, StoreError>((rows(sql)?, sql.logout_request("oldest", now)?))
        })
        .unwrap();
    assert_eq!((rows, left), (OF_ALL, None));
}
