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

// Why the service has none of systemd's sandboxing: like sshd it runs commands of any user (slicer vm exec,
// userdata), and whatever confines it confines them. A mount namespace (Protect*=, Private*=, ReadWritePaths=)
// would show them other mounts, and keep a tmpfs that the agent mounts from everybody else; a filter of
// system calls (SystemCallFilter=, RestrictSUIDSGID=, RestrictNamespaces=, LockPersonality=, ...), a smaller
// CapabilityBoundingSet= and NoNewPrivileges= would be theirs too: no sudo, no package that is installed. What
// the agent can do without that, it does by itself: no core dump, state that only root can open, one socket.
const SERVICE = `${UNIT_MARK}. Settings of your own: systemctl edit slicer-agent
[Unit]
Description=Slicer agent, which keeps the secrets that the host grants this VM
# Early, since what wants secrets may be early too: all that it needs is /usr and /run.
DefaultDependencies=no
Wants=slicer-agent.socket modprobe@vmw_vsock_virtio_transport.service
After=slicer-agent.socket modprobe@vmw_vsock_virtio_transport.service
Before=slicer-secrets.target shutdown.target
Conflicts=shutdown.target
StartLimitIntervalSec=0

[Service]
# Ready once the first sync is in place. However long the host takes: who waits for secrets is not started without.
Type=notify
TimeoutStartSec=infinity
ExecStart=${AGENT_PATH} run --hold-userdata
Restart=always
RestartMode=direct
RestartSec=500ms
# What commands and userdata left running outlives the agent, and is not held against it.
KillMode=process
OOMPolicy=continue
TasksMax=infinity

[Install]
WantedBy=multi-user.target
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
    { path: `${SYSTEMD}/slicer-secrets.target`, mode: 0o644, text: TARGET },
    { path: `${SYSTEMD}/slicer-userdata.service`, mode: 0o644, text: USERDATA },
  ],
  links: [
    { path: `${SYSTEMD}/sockets.target.wants/slicer-agent.socket`, target: '../slicer-agent.socket' },
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
# For how many seconds the services that need secrets are held back.
: "\${secrets_wait:=60}"

depend() {
	provide slicer-secrets
	need localmount
	after modules bootmisc
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
