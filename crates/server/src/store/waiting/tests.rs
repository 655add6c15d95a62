use chartgate_access::grant::authorization_code::PENDING_LIFE;
use chartgate_access::login::logout::PendingLogout;
use chartgate_values::Timestamp;

use super::super::tests::Scratch;
use super::*;

const BOTH: [Waiting; 2] = [Waiting::Authorizations, Waiting::Logouts];

fn ip(network: u32) -> IpAddr {
    IpAddr::V4(network.into())
}

/// A row of a network that was made at this second.
fn add(sql: &Sql<'_>, waiting: Waiting, name: &str, from: IpAddr, at: i64) -> Result<(), StoreError> {
    let created_at = Timestamp::from_unix(at);
    match waiting {
        Waiting::Logouts => {
            let pending = PendingLogout { client_id: None, hint: None, target: None, created_at };
            sql.add_logout_request(name, from, &pending)
        }
        // What it asks for is nobody's matter here.
        Waiting::Authorizations => {
            let text = "INSERT INTO pending_authorizations (digest, browser_digest, request, expires_at, network) \
                        VALUES (?1, 'browser', '{}', ?2, ?3)";
            let network = network(from);
            let values = [name.into(), created_at.plus(PENDING_LIFE).into(), (&network).into()];
            sql.execute(text, &values).map(drop)
        }
    }
}

/// As many rows of a network as these.
fn fill(sql: &Sql<'_>, waiting: Waiting, of: u32, count: i64) -> Result<(), StoreError> {
    (0..count).try_for_each(|number| add(sql, waiting, &format!("{of} {number}"), ip(of), 1000))
}

fn rows(sql: &Sql<'_>, waiting: Waiting) -> Result<i64, StoreError> {
    let text = format!("SELECT COUNT(*) AS count FROM {}", waiting.table());
    Ok(sql.first("rows", &text, &[], |row| row.get("count"))?.unwrap_or_default())
}

fn waits(sql: &Sql<'_>, waiting: Waiting, name: &str) -> Result<bool, StoreError> {
    let text = format!("SELECT digest FROM {} WHERE digest = ?1", waiting.table());
    Ok(sql.first("rows", &text, &[name.into()], |row| row.get::<String>("digest"))?.is_some())
}

#[test]
fn a_network_that_brings_too_many_loses_its_own_oldest_and_no_other_does() {
    for waiting in BOTH {
        let scratch = Scratch::new("waiting");
        let write = scratch.store.write_blocking(move |sql| {
            add(sql, waiting, "another's", ip(2), 998)?;
            add(sql, waiting, "oldest", ip(1), 999)?;
            fill(sql, waiting, 1, OF_A_NETWORK - 2)?;
            assert_eq!(sql.make_room(waiting, ip(1))?, 0);
            add(sql, waiting, "last", ip(1), 1000)?;
            assert_eq!(sql.make_room(waiting, ip(2))?, 0);
            assert!(waits(sql, waiting, "oldest")?);
            assert_eq!(sql.make_room(waiting, ip(1))?, 1);
            assert!(!waits(sql, waiting, "oldest")?);
            assert!(waits(sql, waiting, "another's")? && waits(sql, waiting, "last")?);
            Ok::<_, StoreError>(())
        });
        write.unwrap();
    }
}

#[test]
fn where_too_many_wait_of_all_the_network_with_most_loses_its_oldest() {
    for waiting in BOTH {
        let scratch = Scratch::new("waiting-all");
        let write = scratch.store.write_blocking(move |sql| {
            // Older than all, of a network that has fewer.
            add(sql, waiting, "older", ip(1), 998)?;
            fill(sql, waiting, 1, 2499)?;
            add(sql, waiting, "oldest", ip(2), 999)?;
            fill(sql, waiting, 2, 2998)?;
            fill(sql, waiting, 3, OF_ALL - 5499)?;
            for number in 0..5 {
                assert_eq!(sql.make_room(waiting, ip(4))?, 1);
                add(sql, waiting, &format!("new {number}"), ip(4), 1000)?;
            }
            assert_eq!(rows(sql, waiting)?, OF_ALL);
            assert!(!waits(sql, waiting, "oldest")? && waits(sql, waiting, "older")?);
            Ok::<_, StoreError>(())
        });
        write.unwrap();
    }
}

/// A hospital behind one address, and somebody who has 65536 networks of 64 bits.
#[test]
fn whoever_has_a_site_of_networks_pushes_out_nobody_but_themselves() {
    let of_site = |number: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, number, 0, 0, 0, 1));
    for waiting in BOTH {
        let scratch = Scratch::new("waiting-site");
        let write = scratch.store.write_blocking(move |sql| {
            fill(sql, waiting, 1, 2000)?;
            for number in 0..7000 {
                let _ = sql.make_room(waiting, of_site(number))?;
                add(sql, waiting, &format!("site {number}"), of_site(number), 1000)?;
            }
            assert_eq!(rows(sql, waiting)?, 2000 + OF_A_NETWORK);
            assert!(waits(sql, waiting, "1 0")? && waits(sql, waiting, "site 6999")?);
            Ok::<_, StoreError>(())
        });
        write.unwrap();
    }
}

#[test]
fn a_network_is_an_address_or_the_site_that_one_of_ipv6_is_of() {
    let network = |ip: &str| network(ip.parse().unwrap());
    assert_eq!(network("2001:db8:7:1::1"), network("2001:db8:7:ffff::2"));
    assert_ne!(network("2001:db8:7::1"), network("2001:db8:8::1"));
    assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
}
