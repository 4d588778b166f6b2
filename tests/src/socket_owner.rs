use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Which of these processes (0: none) has the other end of a connection over IPv4 on this machine, by
/// its place in the list; `None` if it is nobody's among them, or closed.
///
/// Looks at the sockets of the processes themselves, as far as the system permits that
/// (`pidfd_getfd(2)`); otherwise finds the connection in the list of all (`/proc/net/tcp`), which takes
/// long where there are many.
///
/// # Errors
///
/// When the connection is closed already, or the system does not say.
pub(crate) fn owner_of(connection: &TcpStream, processes: &[u32]) -> Result<Option<usize>> {
    let ends = (connection.peer_addr()?, connection.local_addr()?);
    for (at, process) in processes.iter().enumerate() {
        match has_socket(*process, ends) {
            Ok(true) => return Ok(Some(at)),
            Ok(false) => {}
            Err(_) => return owner_by_list(ends, processes),
        }
    }
    Ok(None)
}

/// Whether the process has a socket with these ends, its own first.
fn has_socket(process: u32, ends: (SocketAddr, SocketAddr)) -> Result<bool> {
    let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else {
        return Ok(false);
    };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        // It has ended.
        return Ok(false);
    };
    let files = open_files(process);
    for number in files.filter_map(|(number, file)| is_socket(&file).then_some(number)) {
        let socket = match pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()) {
            Ok(socket) => TcpStream::from(socket),
            // Closed meanwhile.
            Err(rustix::io::Errno::BADF | rustix::io::Errno::SRCH) => continue,
            Err(error) => return Err(error.into()),
        };
        // Sockets of other kinds have no such addresses.
        let found = socket.local_addr().ok().zip(socket.peer_addr().ok());
        if found == Some(ends) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_socket(file: &Path) -> bool {
    file.to_string_lossy().starts_with("socket:")
}

/// What the process has open, by number; nothing if it has ended.
fn open_files(process: u32) -> impl Iterator<Item = (RawFd, PathBuf)> {
    let open = fs::read_dir(format!("/proc/{process}/fd"));
    let open = open.into_iter().flatten().flatten();
    open.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, fs::read_link(entry.path()).ok()?))
    })
}

/// By proc(5): the list of all connections has the inodes of their sockets.
fn owner_by_list(ends: (SocketAddr, SocketAddr), processes: &[u32]) -> Result<Option<usize>> {
    let ports = (ends.0.port(), ends.1.port());
    let connections = fs::read_to_string("/proc/net/tcp").context("this needs Linux")?;
    let Some(inode) = connections.lines().find_map(|line| inode(line, ports)) else {
        return Ok(None);
    };
    let socket = format!("socket:[{inode}]");
    let has_open = |process: u32| open_files(process).any(|(_, file)| file == Path::new(&socket));
    Ok(processes
        .iter()
        .position(|process| *process != 0 && has_open(*process)))
}

/// The inode of the socket that `line` is about, if its ports are these, its own first.
fn inode(line: &str, ports: (u16, u16)) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = |field: &str| u16::from_str_radix(field.split_once(':')?.1, 16).ok();
    let [_, local, remote, _, _, _, _, _, _, inode, ..] = fields[..] else {
        return None;
    };
    (port(local)? == ports.0 && port(remote)? == ports.1).then_some(inode)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process;

    use super::*;

    #[test]
    fn both_ways_find_the_process_that_has_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let processes = [0, 1, process::id()];
        let ends = (near.local_addr().unwrap(), far.local_addr().unwrap());
        assert_eq!(owner_by_list(ends, &processes).unwrap(), Some(2));
        assert_eq!(owner_of(&far, &processes).unwrap(), Some(2));
        assert_eq!(owner_of(&far, &[0]).unwrap(), None);
    }
}
