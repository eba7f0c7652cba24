// Every parser of what a guest, a user, a VMM or a file says.
import type { Target } from './engine.ts';
import { agentTargets } from './targets/agent.ts';
import { agentHostTargets } from './targets/agent-host.ts';
import { agentLocalTargets } from './targets/agent-local.ts';
import { agentSysTargets } from './targets/agent-sys.ts';
import { configurationTargets } from './targets/configuration.ts';
import { consoleTargets } from './targets/console.ts';
import { daemonRequestTargets } from './targets/daemon-requests.ts';
import { fileTargets } from './targets/files.ts';
import { guestConnectionTargets } from './targets/guest-connections.ts';
import { guestTextTargets } from './targets/guest-text.ts';
import { hostFileTargets } from './targets/host-files.ts';
import { hostTargets } from './targets/host.ts';
import { relayTargets } from './targets/relay.ts';
import { userTargets } from './targets/users.ts';
import { vmmTargets } from './targets/vmm.ts';
import { wireTargets } from './targets/wire.ts';

export const TARGETS: readonly Target[] = [...wireTargets, ...guestConnectionTargets, ...guestTextTargets, ...consoleTargets, ...vmmTargets, ...configurationTargets, ...fileTargets, ...hostTargets, ...hostFileTargets, ...userTargets, ...daemonRequestTargets, ...agentTargets, ...agentLocalTargets, ...agentHostTargets, ...agentSysTargets, ...relayTargets];
