// A guest in a fake VMM's process: a wire agent that follows its secrets over whatever daemon is there, and
// runs the few commands that tests ask it for.
import { setTimeout as delay } from 'node:timers/promises';
import { FRAME, type Frame } from '../../src/wire/exec-frames.ts';
import type { ExecRequest } from '../../src/wire/protocol.ts';
import type { VsockDevice } from '../live/vsock-device.ts';
import { payload, WireAgent } from '../live/wire-agent.ts';

/** As the agent waits before it dials a host again that is not there. */
const AGAIN_MS = 50;

/** `token`: the boot token, empty where the VMM has no boot channel. */
export function runGuest(device: VsockDevice, reboot: () => void, token = ''): void {
  const agent = new WireAgent(device, token);
  agent.runCommand = (request, send) => {
    const { output, exitCode } = run(agent, request, reboot);
    send({ type: FRAME.started, payload: payload('7') });
    if (output !== '') send({ type: FRAME.stdout, payload: payload(output) });
    send({ type: FRAME.exit, payload: payload(String(exitCode)) });
    return (_frame: Frame) => undefined;
  };
  void follow(agent);
}

async function follow(agent: WireAgent): Promise<never> {
  for (;;) {
    try {
      await agent.establish();
      await agent.sync();
      for (;;) await agent.sync(true);
    } catch {
      agent.close();
      await delay(AGAIN_MS);
    }
  }
}

function run(agent: WireAgent, { argv }: ExecRequest, reboot: () => void): { output: string; exitCode: number } {
  const [command, name = ''] = argv;
  switch (command) {
    case 'cat': {
      const file = agent.held.get(name);
      return file === undefined ? { output: '', exitCode: 1 } : { output: file.bytes.toString('latin1'), exitCode: 0 };
    }
    case 'ls': return { output: [...agent.held.keys()].sort().map((held) => `${held}\n`).join(''), exitCode: 0 };
    case 'reboot':
      setTimeout(reboot, AGAIN_MS);
      return { output: '', exitCode: 0 };
    default: return { output: '', exitCode: 127 };
  }
}
