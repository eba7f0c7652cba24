// What the npm package `slicer` exports: the client that the command line uses, and the types of all it takes
// and answers.
import { chooseConnection, type ConnectionChoice } from './discovery.ts';
import { createClient, type SlicerClient as Client } from './slicer-client.ts';

/** Every method is a request of its own, and rejects with a SlicerError. */
export type SlicerClient = Client;

export const SlicerClient = {
  /**
   * A client of one daemon. Opens nothing yet. What is left out comes from where the command line has it:
   * SLICER_URL, SLICER_TOKEN, SLICER_TOKEN_FILE, then ./slicer.sock and /run/slicer/slicer.sock. Throws usage,
   * not_found, forbidden.
   */
  connect: (choice: ConnectionChoice = {}, env: NodeJS.ProcessEnv = process.env): SlicerClient => createClient(chooseConnection(choice, env)),
};

export { SlicerError } from '../errors/slicer-error.ts';
export type { Problem } from '../errors/slicer-error.ts';
export type { ErrorCode } from '../errors/catalogue.ts';
export type { ConnectionChoice } from './discovery.ts';
export type { ExecEvent } from './exec-stream.ts';
export type { ExecRequest, LaunchOptions, NodeFilter } from './slicer-client.ts';
export type { HostInfo } from '../api/host.ts';
export type { AttachBody, DeletedNode, HostGroup, LaunchBody, Node, NodeStatus } from '../api/nodes.ts';
export type { ChangedSecret, CreateSecretBody, Delivery, RemovedSecret, SecretInfo, SkippedFile, StoreState, UpdateSecretBody } from '../api/secrets.ts';
export type { VmHealth, VmLogs, VmSecret, VmSecrets } from '../api/vm.ts';
