use super::*;

fn vip(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
}

/// When each announcement was made, in milliseconds from the start.
fn collect_announcements(
    schedule: &mut AnnouncementSchedule,
    start: Instant,
    end: Duration,
) -> Vec<(u64, IpAddr)> {
    let mut made = Vec::new();
    while let Some(now) = schedule.next_deadline().filter(|at| *at <= start + end) {
        let vips = schedule.take_due(now);
        assert!(!vips.is_empty(), "woken for nothing");
        made.extend(vips.into_iter().map(|vip| ((now - start).as_millis() as u64, vip)));
    }
    made
}

#[test]
fn a_vip_is_announced_a_few_times_at_first_and_then_about_twice_a_minute() {
    let start = Instant::now();
    let mut schedule = AnnouncementSchedule::new(1);
    schedule.start(vip(1), start);
    let times: Vec<_> = collect_announcements(&mut schedule, start, Duration::from_secs(600))
        .into_iter()
        .map(|(at, _)| at)
        .collect();
    assert_eq!(times[..5], [0, 200, 1200, 3200, 7200]);
    assert!(times[4..].windows(2).all(|pair| (20_000..=30_000).contains(&(pair[1] - pair[0]))));
    assert!(times.len() > 23);
}

#[test]
fn a_stopped_vip_is_silent_and_a_restarted_one_begins_anew() {
    let start = Instant::now();
    let mut schedule = AnnouncementSchedule::new(1);
    schedule.start(vip(1), start);
    collect_announcements(&mut schedule, start, Duration::from_secs(30));
    schedule.start(vip(1), start);
    assert_eq!(collect_announcements(&mut schedule, start, Duration::from_secs(1)).len(), 2);
    schedule.stop(&vip(1));
    assert_eq!(schedule.next_deadline(), None);
    assert_eq!(collect_announcements(&mut schedule, start, Duration::from_secs(600)), []);
}

#[test]
fn announcements_of_thousands_of_vips_are_spread() {
    let start = Instant::now();
    let mut schedule = AnnouncementSchedule::new(1);
    (0..5000).for_each(|number| schedule.start(vip(number), start));
    let made = collect_announcements(&mut schedule, start, Duration::from_secs(200));
    let first: BTreeSet<_> = made.iter().filter(|(at, _)| *at < 250).map(|(_, vip)| *vip).collect();
    assert!(first.len() > 2400, "{}", first.len());
    let mut busiest = BTreeMap::new();
    for (at, _) in made.iter().filter(|(at, _)| *at > 60_000) {
        *busiest.entry(at / 1000).or_insert(0) += 1;
    }
    assert!(busiest.values().all(|count| *count < 1000), "they spread: {busiest:?}");
    let each = made.iter().map(|(_, vip)| *vip).collect::<BTreeSet<_>>();
    assert_eq!(each.len(), 5000);
}
