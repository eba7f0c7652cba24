// Runs under QuickJS, linked with agent/sys.c and the compiler's sanitizers: the relay between a VM's VSOCK and a
// Unix socket, with Unix sockets in the place of VSOCK, in the working directory. It says when it listens.
import * as std from 'std';
import * as sys from 'sys';

const guest = sys.unixListen('./from-guest');
const host = sys.unixListen('./vm');
std.out.puts('ready\n');
std.out.flush();
sys.relay(guest, host, 3, './vm', 901, './guest');
