//! Who listens inside.

use std::io::{self, Write};

use crate::model::socket::Socket;
use crate::show::Page;
use crate::show::page::{columns, flow, heading};
use crate::view::inspection::Inspection;

impl Inspection {
    pub(super) fn sockets(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let Some(sockets) = &self.sockets else { return Ok(()) };
        if sockets.count_by_state.is_empty() {
            return Ok(());
        }
        heading(page, out, "SOCKETS")?;
        flow(
            page,
            out,
            2,
            &sockets.count_by_state.iter().map(|(state, count)| format!("{state} {count}")).collect::<Vec<_>>(),
        )?;
        columns(out, 2, &sockets.listeners.iter().chain(&sockets.others).map(socket_row).collect::<Vec<_>>())
    }
}

fn socket_row(socket: &Socket) -> Vec<String> {
    let process = socket.process.as_ref().map(|process| format!("{} {}", process.pid, process.name));
    let remote = socket.remote.map(|remote| remote.to_string()).unwrap_or_default();
    vec![socket.protocol.clone(), socket.state.clone(), socket.local.to_string(), remote, process.unwrap_or_default()]
}
