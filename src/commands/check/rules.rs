//! Rules whose programs run as other users: may the daemon, as it is installed, have them run.

use super::Scene;
use super::finding::Finding;
use super::root::Root;
use super::service::USER;
use crate::sys::owners::quoted;
use std::path::{Path, PathBuf};

const AREA: &str = "rules";
/// Where systemd finds the unit and what is added to it.
const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// What is added to the unit, as config/systemd/pipe-users.conf has it.
const DROP_IN: &str = "/etc/systemd/system/postrider.service.d/pipe-users.conf";
const LINES: &str = "[Service]\\nCapabilityBoundingSet=CAP_SETUID CAP_SETGID\\nAmbientCapabilities=CAP_SETUID CAP_SETGID\\n\
                     SystemCallFilter=@setuid capset\\n";
const OPENRC: (&str, &str) = ("/etc/init.d/postrider", "/etc/conf.d/postrider");

/// Looks at the rules that name a user.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let root = scene.root;
    let others = scene.config.rules.list.iter().filter_map(|rule| {
        let user = rule.actions.pipe.as_ref()?.user.as_deref()?;
        (user != USER).then_some((rule, user))
    });
    let mut others = others.peekable();
    if others.peek().is_none() || !is_managed(root) || may(root) {
        return;
    }
    let fix = fix(root);
    findings.extend(others.map(|(rule, user)| {
        let what = format!(
            "rule {}: the daemon may not run its program as {user}, as nothing gives its helper CAP_SETUID and CAP_SETGID",
            rule.name
        );
        Finding::error(AREA, what).at(&rule.place).fix(fix.clone())
    }));
}

/// Whether a service manager starts the daemon; one that is started by hand has its rights from who starts it.
fn is_managed(root: &Root) -> bool {
    has_unit(root) || root.exists(OPENRC.0)
}

fn has_unit(root: &Root) -> bool {
    UNITS.iter().any(|directory| root.exists(Path::new(directory).join("postrider.service")))
}

/// Whether the service has the capabilities, or is root's.
fn may(root: &Root) -> bool {
    let texts: Vec<String> = files(root).iter().filter_map(|file| root.text(file)).collect();
    let says = |fits: &dyn Fn(&str) -> bool| {
        texts.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.starts_with('#')).any(fits)
    };
    let both = |line: &str, first: &str| {
        let line = line.to_ascii_lowercase();
        line.starts_with(first) && line.contains("cap_setuid") && line.contains("cap_setgid")
    };
    says(&|line| both(line, "ambientcapabilities=") || both(line, "capabilities="))
        || says(&|line| line.starts_with("User=root") || line.starts_with("command_user=\"root"))
}

fn files(root: &Root) -> Vec<PathBuf> {
    let units = UNITS.iter().flat_map(|directory| {
        let added = root.list(Path::new(directory).join("postrider.service.d"));
        added.into_iter().chain([Path::new(directory).join("postrider.service")])
    });
    units.chain([OPENRC.1.into()]).collect()
}

fn fix(root: &Root) -> String {
    if !has_unit(root) {
        let place = root.at(OPENRC.1);
        return format!("echo 'capabilities=\"^cap_setuid,^cap_setgid\"' >> {}", quoted(&place));
    }
    let place = root.at(DROP_IN);
    format!(
        "printf '{LINES}' | install -D -m 644 /dev/stdin {} && systemctl daemon-reload && systemctl restart \
         postrider.service",
        quoted(&place)
    )
}
