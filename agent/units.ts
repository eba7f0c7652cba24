// What makes the agent part of a guest's boot: the files of each init system, as data that
// `slicer-agent install` and the recipes of guest images put in place. Imports nothing, so that both can.

export interface UnitFile {
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

export interface UnitLink {
  readonly path: string;
  readonly target: string;
}

export interface Units {
  readonly files: readonly UnitFile[];
  readonly links: readonly UnitLink[];
}

export const AGENT_PATH = '/usr/bin/slicer-agent';

/** In each file: whatever has it may be replaced and taken out again. */
export const UNIT_MARK = '# Put here by slicer-agent install';

const SYSTEMD = '/etc/systemd/system';

/** Where slicer-commands.service starts programs for the agent. */
const COMMANDS_SOCKET = '/run/slicer-commands.sock';

// The agent itself is confined by systemd. What it runs for the host (slicer vm exec, userdata) is not to be: a
// mount namespace would show it other mounts, a filter of system calls, fewer capabilities and NoNewPrivileges=
// would leave no sudo, no package that is installed, no module that is loaded. So slicer-commands.service starts
// it, which has no sandbox. It is no border between the two: whoever is the agent can start anything.
//
// What is not there, and why: User=, CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE (secrets have any owner), CAP_KILL
// (signals for commands), CAP_NET_BIND_SERVICE (its port, where no socket unit holds it), CAP_SYS_ADMIN (the
// kernel shows firmware tables to nobody else), AF_VSOCK, /dev/vsock, and setrlimit(2), which is one of @resources.
const SERVICE = `${UNIT_MARK}. Settings of your own: systemctl edit slicer-agent
[Unit]
Description=Slicer agent, which keeps the secrets that the host grants this VM
# Early, since what wants secrets may be early too: all that it needs is /usr and /run.
DefaultDependencies=no
Wants=slicer-agent.socket slicer-commands.socket modprobe@vmw_vsock_virtio_transport.service
After=slicer-agent.socket slicer-commands.socket modprobe@vmw_vsock_virtio_transport.service
Before=slicer-secrets.target shutdown.target
Conflicts=shutdown.target
StartLimitIntervalSec=0

[Service]
# Ready once the first sync is in place. However long the host takes: who waits for secrets is not started without.
Type=notify
TimeoutStartSec=infinity
ExecStart=${AGENT_PATH} run --hold-userdata --commands ${COMMANDS_SOCKET}
# What it and userdata say is in the VM's log, too: slicer vm logs
StandardOutput=journal+console
Restart=always
RestartMode=direct
RestartSec=500ms
OOMPolicy=continue
LimitCORE=0
# What an agent of before, which started commands by itself, left running outlives it.
KillMode=process
# Commands and userdata are not started in here, and not held by what follows: slicer-commands.service does.

NoNewPrivileges=yes
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_NET_BIND_SERVICE CAP_SYS_ADMIN
ProtectSystem=strict
ReadWritePaths=/run
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
DevicePolicy=closed
DeviceAllow=/dev/vsock rw
RestrictAddressFamilies=AF_UNIX AF_VSOCK
IPAddressDeny=any
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@swap @reboot @module @mount @clock @cpu-emulation @debug @obsolete @raw-io
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;

const COMMANDS_SOCKET_UNIT = `${UNIT_MARK}. Settings of your own: systemctl edit slicer-commands.socket
[Unit]
Description=Where the Slicer agent has programs started
DefaultDependencies=no
Before=sockets.target shutdown.target
Conflicts=shutdown.target

[Socket]
ListenStream=${COMMANDS_SOCKET}
SocketMode=0600

[Install]
WantedBy=sockets.target
`;

const COMMANDS_SERVICE = `${UNIT_MARK}. Settings of your own: systemctl edit slicer-commands
[Unit]
Description=Starts what the host runs in this VM, userdata too
DefaultDependencies=no
Requires=slicer-commands.socket
After=slicer-commands.socket
Before=shutdown.target
Conflicts=shutdown.target
StartLimitIntervalSec=0

[Service]
# Without a sandbox, as sshd is: what confined it would confine what the host runs.
ExecStart=${AGENT_PATH} commands
# What commands and userdata left running outlives it, and is not held against it.
KillMode=process
OOMPolicy=continue
TasksMax=infinity
`;

const SOCKET = `${UNIT_MARK}. Settings of your own: systemctl edit slicer-agent.socket
[Unit]
Description=Port of the Slicer agent, held also while the agent restarts
DefaultDependencies=no
Before=sockets.target shutdown.target
Conflicts=shutdown.target

[Socket]
ListenStream=vsock::900

[Install]
WantedBy=sockets.target
`;

const TARGET = `${UNIT_MARK}
# A service that needs secrets says: Wants=slicer-secrets.target and After=slicer-secrets.target
[Unit]
Description=Secrets of this VM are in place
Requires=slicer-agent.service
After=slicer-agent.service
`;

const USERDATA = `${UNIT_MARK}. Settings of your own: systemctl edit slicer-userdata
[Unit]
Description=Userdata of this VM, which the agent runs once
Wants=slicer-agent.service
After=slicer-agent.service network.target network-online.target
StartLimitIntervalSec=0

[Service]
# Not oneshot: userdata may ask for, or wait for, what comes later in the boot.
ExecStart=${AGENT_PATH} userdata
# An agent that restarted in between has to be told again. No script runs twice: the host hands it out once.
Restart=on-failure
RestartSec=1s
KillMode=process

[Install]
WantedBy=multi-user.target
`;

/** systemd (systemd.unit(5)); 252 or later for credentials, older ones warn of settings that they don't know. */
export const SYSTEMD_UNITS: Units = {
  files: [
    { path: `${SYSTEMD}/slicer-agent.socket`, mode: 0o644, text: SOCKET },
    { path: `${SYSTEMD}/slicer-agent.service`, mode: 0o644, text: SERVICE },
    { path: `${SYSTEMD}/slicer-commands.socket`, mode: 0o644, text: COMMANDS_SOCKET_UNIT },
    { path: `${SYSTEMD}/slicer-commands.service`, mode: 0o644, text: COMMANDS_SERVICE },
    { path: `${SYSTEMD}/slicer-secrets.target`, mode: 0o644, text: TARGET },
    { path: `${SYSTEMD}/slicer-userdata.service`, mode: 0o644, text: USERDATA },
  ],
  links: [
    { path: `${SYSTEMD}/sockets.target.wants/slicer-agent.socket`, target: '../slicer-agent.socket' },
    { path: `${SYSTEMD}/sockets.target.wants/slicer-commands.socket`, target: '../slicer-commands.socket' },
    { path: `${SYSTEMD}/multi-user.target.wants/slicer-agent.service`, target: '../slicer-agent.service' },
    { path: `${SYSTEMD}/multi-user.target.wants/slicer-userdata.service`, target: '../slicer-userdata.service' },
  ],
};

const OPENRC_SCRIPT = `#!/sbin/openrc-run
${UNIT_MARK}. Settings of your own: /etc/conf.d/slicer-agent
# A service that needs secrets says: need slicer-secrets

description="Slicer agent, which keeps the secrets that the host grants this VM"
supervisor=supervise-daemon
command=${AGENT_PATH}
command_args="run"
# By itself supervise-daemon takes /var/run, which not every system has.
pidfile=/run/slicer-agent.pid
# What it and userdata say is in the VM's log: slicer vm logs
error_log=/dev/console
# However often it ends.
respawn_max=0
respawn_delay=1
# For how many seconds the services that need secrets are held back.
: "\${secrets_wait:=60}"

depend() {
	provide slicer-secrets
	# Not \`need\`: a system may mount by other means. What has them has them in an earlier place of the boot.
	after localmount modules bootmisc
}

start_post() {
	ebegin "Waiting for secrets"
	waited=0
	until ${AGENT_PATH} secrets sync >/dev/null 2>&1; do
		waited=$((waited + 1))
		[ "$waited" -lt "$secrets_wait" ] || { eend 1 "the host has sent no secrets"; return 1; }
		sleep 1
	done
	eend 0
}
`;

/** OpenRC (openrc-run(8), supervise-daemon(8)). */
export const OPENRC_UNITS: Units = {
  files: [{ path: '/etc/init.d/slicer-agent', mode: 0o755, text: OPENRC_SCRIPT }],
  links: [{ path: '/etc/runlevels/boot/slicer-agent', target: '/etc/init.d/slicer-agent' }],
};

export const INITTAB = '/etc/inittab';

/** For busybox's init, where the first field is a terminal, and for that of System V, where it is an id. */
export const BUSYBOX_LINE = `::respawn:${AGENT_PATH} run`;
export const SYSVINIT_LINE = `slcr:2345:respawn:${AGENT_PATH} run`;

/** What busybox's init does where it finds no inittab (parse_inittab in its init.c): one with our line alone would take it away. */
export const BUSYBOX_DEFAULTS = `${UNIT_MARK}, with what busybox's init does where there is no such file
::sysinit:/etc/init.d/rcS
::askfirst:-/bin/sh
tty2::askfirst:-/bin/sh
tty3::askfirst:-/bin/sh
tty4::askfirst:-/bin/sh
::ctrlaltdel:reboot
::shutdown:umount -a -r
::shutdown:swapoff -a
::restart:init
`;
