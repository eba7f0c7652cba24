// The agent as systemd's service in the Debian image: what waits for secrets waits, the port stays held while
// the agent is away, and a restart costs nothing but the moment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileAttacker } from './guest-programs.ts';
import { MISSING_COMPILER, MISSING_DEBIAN } from './parts.ts';
import { eventually } from './patience.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const USERDATA = `userdata: |
        #!/bin/sh
        echo ran >> /root/userdata-runs
        echo "userdata has $(cat /run/slicer/secrets/api-key)"
        systemctl show -P ActiveState network.target > /root/network`;

/** As systemd reads it: plain characters as they are; quotes, a line break and a backslash in double quotes. */
const ENVIRONMENT = '# of the app\nTOKEN=one/+=:@-\nKEY="a \\"b\'\nc \\\\ d"\n';

const fixture = withSlicer(oneGroup('secrets: [api-key, app-env]', USERDATA).replace('image: tiny', 'image: debian').replace('ram_mb: 192', 'ram_mb: 256'), {
  skip: MISSING_DEBIAN || MISSING_COMPILER,
  prepare: async (slicer) => {
    slicer.put('api-key', 'one\n');
    slicer.put('db-password', 'live\n');
    slicer.put('app-env', ENVIRONMENT);
  },
});
const { skip } = fixture;

const inGuest = (script: string): Promise<string> => fixture.slicer.inGuest('vm-1', script);

/** Starts a script that goes on without the agent; `finished` has what it wrote. */
const start = (name: string, script: string): Promise<string> =>
  fixture.slicer.inGuest('vm-1', `cat > /root/${name}; setsid sh /root/${name} > /root/${name}.out 2>&1 < /dev/null &`, { stdin: `${script}\ntouch /root/${name}.done\n` });

async function finished(name: string): Promise<string> {
  let last = { exitCode: -1, stdout: '', stderr: '' };
  await eventually(() => `${name} has ended: ${JSON.stringify(last)}`, async () => {
    last = await fixture.slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', `[ -e /root/${name}.done ] && cat /root/${name}.out`]);
    return last.exitCode === 0;
  });
  return last.stdout;
}

test('systemd holds the port, and tells how many secrets its agent holds', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch('--timeout=120s', '--wait-userdata', '--credential=db=db-password,deliver=live'), 'vm-1');
  assert.equal(await inGuest('systemctl show -P ActiveState slicer-agent.socket slicer-agent.service slicer-secrets.target 2>&1'), 'active\n\nactive\n\ninactive\n');
  assert.match(await inGuest('systemctl show -P StatusText slicer-agent'), /^holds 2 secrets and 1 credentials\n$/);
  const compiled = compileAttacker();
  await slicer.inGuest('vm-1', 'cat > /root/attacker && chmod 755 /root/attacker', { stdin: compiled });
  assert.match(await inGuest('/root/attacker ports 900'), /: EADDRINUSE$/m);
});

test('`systemd-analyze security slicer-agent` says at most OK, and a command is root without a sandbox', { skip }, async () => {
  // Exposure below 5.0 is OK, below 1.0 SAFE.
  assert.match(await inGuest('systemd-analyze security --no-pager slicer-agent | tail -1'), / [0-4]\.[0-9] (OK|SAFE) /);
  const agent = await inGuest('pid=$(systemctl show -P MainPID slicer-agent); grep -E "^(CapBnd|NoNewPrivs|Seccomp):" /proc/$pid/status; readlink /proc/$pid/ns/mnt');
  assert.match(agent, /^NoNewPrivs:\t1$/m);
  assert.match(agent, /^Seccomp:\t2$/m);
  // As PID 1 is, and what it starts by itself.
  const seen = 'status | grep -E "^(Cap|NoNewPrivs|Seccomp)"';
  assert.equal(await inGuest(`cat /proc/self/${seen}; readlink /proc/self/ns/mnt; id -u`), await inGuest(`cat /proc/1/${seen}; readlink /proc/1/ns/mnt; echo 0`));
  assert.notEqual(agent.split('\n').at(-2), (await inGuest('readlink /proc/self/ns/mnt')).trim());
  assert.equal(await inGuest('touch /etc/made /usr/made && rm /etc/made /usr/made && mount -t tmpfs none /mnt && umount /mnt && echo can'), 'can\n');
});

test('userdata waits for the network, and is no part of the boot', { skip }, async () => {
  assert.equal(await inGuest('cat /root/network /root/userdata-runs'), 'active\nran\n');
  assert.equal(await inGuest('systemctl show -P Result slicer-userdata'), 'success\n');
});

test('what userdata says, and how it ended, is in the VM\'s log and in its health', { skip }, async () => {
  const { slicer } = fixture;
  assert.match(await slicer.ok(['vm', 'logs', 'vm-1', '--lines=0']), /userdata has one\r*\n[^]*userdata ended with exit code 0/);
  const { body } = await slicer.api('GET', '/vm/vm-1/health');
  assert.deepEqual([body.userdata_ran, body.userdata_exit_code], [true, 0]);
});

test('a service reads a credential that came over the live channel, and its newer value when it starts again', { skip }, async () => {
  await fixture.slicer.inGuest('vm-1', 'cat > /run/systemd/system/reads.service && systemctl daemon-reload', {
    stdin: '[Service]\nType=oneshot\nLoadCredential=db\nUser=ubuntu\nExecStart=sh -c "cat $CREDENTIALS_DIRECTORY/db >> /tmp/read"\n',
  });
  await inGuest('systemctl start reads');
  await fixture.slicer.ok(['secret', 'update', 'db-password'], { stdin: 'newer\n' });
  await inGuest('systemctl start reads');
  assert.equal(await inGuest('cat /tmp/read; stat -c "%a %u" /run/credstore /run/credstore/db'), 'live\nnewer\n700 0\n400 0\n');
});

test('a service with the directory bind-mounted, and one that reads its environment from a file and is started again when that changes', { skip }, async () => {
  const { slicer } = fixture;
  const unit = (name: string, text: string): Promise<string> => slicer.inGuest('vm-1', `cat > /run/systemd/system/${name}`, { stdin: text });
  const secrets = '[Unit]\nWants=slicer-secrets.target\nAfter=slicer-secrets.target\n[Service]\n';
  await unit('mounted.service', `${secrets}BindReadOnlyPaths=/run/slicer/secrets:/run/app-secrets\nExecStart=sleep infinity\n`);
  await unit('app.service', `${secrets}User=ubuntu\nEnvironmentFile=/run/slicer/secrets/app-env\nExecStart=sh -c 'echo "$$TOKEN $$KEY" >> /tmp/app; exec sleep infinity'\n`);
  await unit('app-restart.path', '[Path]\nPathChanged=/run/slicer/secrets/app-env\n');
  await unit('app-restart.service', '[Service]\nType=oneshot\nExecStart=systemctl try-restart app.service\n');
  await inGuest('systemctl daemon-reload && systemctl start mounted app app-restart.path && until [ -s /tmp/app ]; do sleep 0.1; done');
  const mounted = 'cat /proc/$(systemctl show -P MainPID mounted)/root/run/app-secrets/app-env';
  assert.equal(await inGuest(mounted), ENVIRONMENT);
  await slicer.ok(['secret', 'update', 'app-env'], { stdin: ENVIRONMENT.replace('one', 'two') });
  assert.equal(await inGuest(mounted), ENVIRONMENT.replace('one', 'two'));
  await inGuest('until [ "$(wc -l < /tmp/app)" -ge 4 ]; do sleep 0.1; done');
  assert.equal(await inGuest('cat /tmp/app; systemctl stop mounted app app-restart.path'), 'one/+=:@- a "b\'\nc \\ d\ntwo/+=:@- a "b\'\nc \\ d\n');
});

test('an agent that is killed is back with its secrets, runs no userdata again, and takes nobody along', { skip }, async () => {
  await inGuest('setsid sleep 1000 > /dev/null 2>&1 < /dev/null & true');
  await start('kill', 'of() { systemctl show -P MainPID slicer-agent; }\nbefore=$(of)\nkill -9 $before\nuntil [ "$(of)" != 0 ] && [ "$(of)" != $before ]; do sleep 0.1; done\n'
    + 'until [ "$(systemctl show -P ActiveState slicer-agent)" = active ]; do sleep 0.1; done');
  await finished('kill');
  await fixture.slicer.ok(['secret', 'update', 'api-key'], { stdin: 'two\n' });
  assert.equal(await inGuest('cat /run/slicer/secrets/api-key /root/userdata-runs; pidof sleep | wc -w; systemctl show -P NRestarts slicer-agent'), 'two\nran\n1\n1\n');
});

test('while the agent is away the port is held, and what wants secrets waits until they are in place', { skip }, async () => {
  await fixture.slicer.inGuest('vm-1', 'cat > /run/systemd/system/wants.service && systemctl daemon-reload', {
    stdin: '[Unit]\nWants=slicer-secrets.target\nAfter=slicer-secrets.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=cat /run/slicer/secrets/api-key\n',
  });
  await start('wait', `
systemctl stop slicer-agent.service 2>/dev/null
/root/attacker ports 900
rm /run/slicer/secrets/api-key
mkdir /run/slicer/secrets/api-key
systemctl start --no-block wants.service
until systemctl show -P StatusText slicer-agent | grep -q directory; do sleep 0.1; done
systemctl show -P ActiveState slicer-agent.service slicer-secrets.target wants.service
rmdir /run/slicer/secrets/api-key
until [ "$(systemctl show -P ActiveState wants)" = active ]; do sleep 0.1; done
systemctl show -P ActiveState slicer-agent.service slicer-secrets.target
`);
  const lines = (await finished('wait')).split('\n').filter((line) => line !== '');
  assert.match(lines[0] as string, /EADDRINUSE/);
  assert.deepEqual(lines.slice(1), ['activating', 'inactive', 'inactive', 'active', 'active']);
});

test('uninstall takes out all of it, and install puts it back', { skip }, async () => {
  await start('again', `
cp /usr/bin/slicer-agent /root/agent
/root/agent uninstall
echo "left: $(ls /etc/systemd/system /etc/systemd/system/*.wants | grep -E 'slicer-(agent|commands|secrets|userdata)')$(ls /usr/bin/slicer-agent 2>/dev/null)$(pidof slicer-agent)"
/root/attacker ports 900
/root/agent install
until [ "$(systemctl show -P ActiveState slicer-agent)" = active ]; do sleep 0.1; done
`);
  const output = await finished('again');
  assert.match(output, /^removed \/usr\/bin\/slicer-agent$/m);
  assert.match(output, /^left: $/m);
  assert.doesNotMatch(output, /: EADDRINUSE$/m);
  assert.match(output, /^wrote \/usr\/bin\/slicer-agent$/m);
  assert.equal(await inGuest('cat /run/slicer/secrets/api-key /root/userdata-runs'), 'two\nran\n');
  assert.equal(await inGuest('systemctl is-enabled slicer-agent.service slicer-agent.socket slicer-userdata.service; systemctl --failed --quiet'), 'enabled\nenabled\nenabled\n');
});
