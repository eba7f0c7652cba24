// A timer that leaves the agent asleep until it is due: while one of the engine's own is set, the engine wakes up
// every ten seconds (quickjs-libc, js_os_poll).
import * as os from 'os';
import * as sys from 'sys';

/** Calls `onDue` once, unless what it returns is called before. */
export function stillTimer(ms: number, onDue: () => void): () => void {
  let fd = sys.timer(ms);
  const end = (): void => {
    if (fd < 0) return;
    os.setReadHandler(fd, null);
    sys.close(fd);
    fd = -1;
  };
  os.setReadHandler(fd, () => {
    end();
    onDue();
  });
  return end;
}
