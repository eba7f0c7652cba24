// What credentials cost a Debian guest at its boot, and when a service has its secret over each channel.
import { randomBytes } from 'node:crypto';
import type { Figure } from './figure.ts';
import { Lab } from './lab.ts';
import { summarise } from './statistics.ts';

const ROUNDS = 5;
const GROUP = 'debian';
const BOOT_TIMEOUT = '--timeout=240s';

/** 40 KB in all. */
const SECRETS = ['c0', 'c1', 'c2', 'c3'];
const SECRET_BYTES = 10_000;

/** Units of systemd's that come as credentials (systemd.system-credentials(7)): each reads its secret and ends. */
const UNITS: Readonly<Record<string, string>> = {
  'systemd.extra-unit.at-boot.service': '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nLoadCredential=c0\n'
    + 'ExecStart=/bin/sh -c "cat $CREDENTIALS_DIRECTORY/c0 > /dev/null"\n',
  'systemd.extra-unit.live.service': '[Unit]\nDefaultDependencies=no\nWants=slicer-secrets.target\nAfter=slicer-secrets.target\n'
    + '[Service]\nType=oneshot\nExecStart=/bin/sh -c "cat /run/slicer/secrets/c0 > /dev/null"\n',
  'systemd.unit-dropin.multi-user.target': '[Unit]\nWants=at-boot.service live.service\n',
};

export async function bootFigures(): Promise<Figure[]> {
  const lab = new Lab();
  try {
    await lab.serve([`    - {name: ${GROUP}, count: 0, vcpu: 1, ram_mb: 512, secrets: none, image: debian}`]);
    for (const name of SECRETS) lab.slicer(['secret', 'create', name, '--no-wait'], randomBytes(SECRET_BYTES));
    return [bootFigure(lab, 'q35'), bootFigure(lab, 'microvm'), waitFigure(lab)];
  } finally {
    await lab.stop();
  }
}

/** From the command until the agent has synced. */
function bootFigure(lab: Lab, machine: string): Figure {
  const credentials = SECRETS.map((name) => `--credential=${name}=${name}`);
  const timed = (options: readonly string[]): number => {
    const begin = process.hrtime.bigint();
    const vm = launch(lab, [`--machine=${machine}`, ...options]);
    const tookMs = Number(process.hrtime.bigint() - begin) / 1e6;
    lab.slicer(['vm', 'delete', vm]);
    return tookMs;
  };
  const rounds = Array.from({ length: ROUNDS }, () => ({ none: timed([]), all: timed(credentials) }));
  return {
    name: `boot of a Debian guest on ${machine} with 40 KB of credentials, against none`, unit: 'ms', by: 'p50',
    measured: summarise(rounds.map(({ all }) => all)), reference: summarise(rounds.map(({ none }) => none)),
  };
}

/** Both in the same boot, on the guest's own clock. */
function waitFigure(lab: Lab): Figure {
  for (const [name, text] of Object.entries(UNITS)) lab.slicer(['secret', 'create', unitSecret(name), '--no-wait'], text);
  const units = Object.keys(UNITS).map((name) => `--credential=${name}=${unitSecret(name)},allowReserved`);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const vm = launch(lab, ['--secret=c0', '--credential=c0=c0', ...units]);
    const times = ['at-boot', 'live'].map((unit) => endMs(lab, vm, unit));
    lab.slicer(['vm', 'delete', vm]);
    return times;
  });
  return {
    name: 'a service has its secret, since the start of the guest: live channel, against boot channel', unit: 'ms', by: 'p50',
    measured: summarise(rounds.map(([, live]) => live as number)), reference: summarise(rounds.map(([atBoot]) => atBoot as number)),
  };
}

const unitSecret = (credential: string): string => credential.replaceAll('.', '-');

function launch(lab: Lab, options: readonly string[]): string {
  return (JSON.parse(lab.slicer(['vm', 'launch', GROUP, '--wait', BOOT_TIMEOUT, '--json', ...options])) as { hostname: string }).hostname;
}

/** When the unit's command had read it. */
function endMs(lab: Lab, vm: string, unit: string): number {
  const show = ['systemctl', 'show', '-P', 'ExecMainExitTimestampMonotonic', `${unit}.service`];
  for (let round = 0; round < 100; round += 1) {
    const micros = Number(lab.slicer(['vm', 'exec', vm, '--', ...show]));
    if (micros > 0) return micros / 1000;
  }
  throw new Error(`${unit}.service of ${vm} did not run`);
}
