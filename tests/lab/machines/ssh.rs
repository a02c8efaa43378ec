//! `ssh` and `scp` from one machine to another, with keys made for the test.
//!
//! Machines boot without an ssh server; [`Machines::ssh`] starts one where it is needed.

use super::Machines;

impl Machines {
    /// Lets a user of `from` reach the user of the same name on `to` by `ssh` and `scp`, without a question.
    #[track_caller]
    pub fn ssh(&self, user: &str, from: &str, to: &str) {
        let key = "mkdir -p -m 700 .ssh && { test -e .ssh/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519; } \
                   && cat .ssh/id_ed25519.pub";
        let public = self[from].shell_as(user, false, key).good().to_owned();
        let accept = format!("mkdir -p -m 700 .ssh && echo '{}' >>.ssh/authorized_keys", public.trim());
        self[to].shell_as(user, false, &accept).good();
        let serve = "test -e /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
            systemctl start ssh.service && cat /etc/ssh/ssh_host_ed25519_key.pub";
        let host_key = self[to].shell(serve).good().to_owned();
        let known = host_key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let know = format!("echo '{to},{} {known}' >>.ssh/known_hosts", self[to].address());
        self[from].shell_as(user, false, &know).good();
    }
}
