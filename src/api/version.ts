// What this build is. The bundler replaces SLICER_GIT_COMMIT; the sources do not know their commit.
import manifest from '../../package.json' with { type: 'json' };

declare const SLICER_GIT_COMMIT: string;

export const VERSION: string = manifest.version;

/** A commit id of git, or `unknown`. */
export const GIT_COMMIT: string = typeof SLICER_GIT_COMMIT === 'undefined' ? 'unknown' : SLICER_GIT_COMMIT;

/** As `slicer version` shows it. */
export const VERSION_LINE = `slicer ${VERSION} (${GIT_COMMIT})`;
