// What the values of `config.api` must be to each other. Works on data that the schema may have refused, as
// rules.ts does.
import { isLoopback, parseBindAddress } from './address.ts';
import { entriesOf, type Entries, type Issue, type Path } from './document.ts';
import { absolutePath } from './named-files.ts';
import { DEFAULT_TOKEN_FILE, listenersOf } from './resolve.ts';

/** sizeof(sockaddr_un.sun_path) without the closing NUL (unix(7)). */
const SOCKET_PATH_MAX_BYTES = 107;

/** Who acts in records without a token of that name. */
const RESERVED = ['admin', 'read', 'vm', 'file', 'outside', 'daemon', 'foreground', 'nobody', 'anybody', 'token'];

/** What the values of `config.api` must be to each other, and to the host groups. */
export function apiIssues(api: Entries, groups: readonly unknown[], directory: string): Issue[] {
  const path: Path = ['config', 'api'];
  const bindAddress = api['bind_address'];
  if (typeof bindAddress === 'string' && bindAddress !== '' && parseBindAddress(bindAddress) === undefined) {
    return [at([...path, 'bind_address'],
      'expected an IP address, or the path of a socket that begins with / or ./ or ends in .sock')];
  }
  const issues: Issue[] = [...socketIssues(api, directory), ...tokenIssues(api, directory)];
  const { tcp, socket } = listenersOf(api);
  if (socket === undefined && api['socket_group'] !== undefined) {
    issues.push(atKey([...path, 'socket_group'],
      'is for a socket; the API listens on TCP alone, since bind_address is not the path of one'));
  }
  const length = socket === undefined ? 0 : Buffer.byteLength(absolutePath(socket, directory));
  if (length > SOCKET_PATH_MAX_BYTES) {
    issues.push(at([...path, 'bind_address'],
      `expected a socket whose absolute path is at most ${SOCKET_PATH_MAX_BYTES} bytes, got ${length}`));
  }
  if (tcp !== undefined && entriesOf(api['auth'])['enabled'] === false) {
    // QEMU's user network leads connections to its gateway (10.0.2.2) to this machine's loopback.
    const who = !isLoopback(tcp) ? 'other machines' : groups.some(hasUserNetwork) ? 'VMs with network: user' : undefined;
    if (who !== undefined) {
      issues.push(at([...path, 'auth', 'enabled'], `expected true, since ${who} reach bind_address ${tcp}; got false`));
    }
  }
  return issues;
}

/** Beside the socket of `bind_address`. */
function socketIssues(api: Entries, directory: string): Issue[] {
  const { socket } = listenersOf(api);
  const taken = socket === undefined ? [] : [absolutePath(socket, directory)];
  return entriesIn(api['sockets']).flatMap(({ path }, index) => {
    if (typeof path !== 'string' || path === '') return [];
    const place: Path = ['config', 'api', 'sockets', index, 'path'];
    const file = absolutePath(path, directory);
    if (taken.includes(file)) return [at(place, `expected a socket of its own, got one that is there already: ${file}`)];
    taken.push(file);
    const length = Buffer.byteLength(file);
    return length > SOCKET_PATH_MAX_BYTES ? [at(place, `expected a socket whose absolute path is at most ${SOCKET_PATH_MAX_BYTES} bytes, got ${length}`)] : [];
  });
}

function tokenIssues(api: Entries, directory: string): Issue[] {
  const tokens = entriesIn(api['tokens']);
  if (tokens.length === 0) return [];
  const path: Path = ['config', 'api', 'tokens'];
  if (listenersOf(api).tcp === undefined) return [atKey(path, 'are for TCP, and the API listens on a socket alone; set port or bind_address')];
  if (entriesOf(api['auth'])['enabled'] === false) return [atKey(path, 'are not asked for, since auth.enabled is false')];
  const filesOf = (token: Entries): unknown => (typeof token['token_file'] === 'string' ? absolutePath(token['token_file'], directory) : undefined);
  const files = tokens.map(filesOf);
  const main = filesOf({ token_file: entriesOf(api['auth'])['token_file'] ?? DEFAULT_TOKEN_FILE });
  return tokens.flatMap(({ name }, index) => [
    ...(typeof name === 'string' && RESERVED.includes(name) ? [at([...path, index, 'name'], `expected another name: "${name}" is who acts otherwise in the audit log`)] : []),
    ...(typeof name === 'string' && tokens.findIndex((other) => other['name'] === name) < index ? [at([...path, index, 'name'], 'expected a name of its own')] : []),
    ...(files[index] !== undefined && [main, ...files].indexOf(files[index]) < index + 1 ? [at([...path, index, 'token_file'], 'expected a file of its own')] : []),
  ]);
}

const entriesIn = (list: unknown): Entries[] => (Array.isArray(list) ? list.map(entriesOf) : []);

const hasUserNetwork = (group: unknown): boolean => entriesOf(group)['network'] === 'user';

const at = (path: Path, message: string): Issue => ({ path, at: 'value', message });
const atKey = (path: Path, message: string): Issue => ({ path, at: 'key', message });
