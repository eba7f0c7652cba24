// The last word of a daemon that failed: what kind of error and where, never the error's own text.
import { EXIT } from '../errors/catalogue.ts';
import { errorFields, type Log } from './log.ts';

/** Logs what nobody caught and ends the process; its VMs run on, and the next daemon adopts them. */
export function installCrashHandler(log: Log): void {
  const crash = (error: unknown): void => {
    log.fatal(errorFields(error), 'slicer failed and ends; its VMs run on');
    process.exit(EXIT.failed);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
}
