// Bundles the command line as CommonJS, which Node starts much faster than ES modules: OUT/slicer.cjs with
// the commands that only speak to the daemon, and OUT/commands/NAME.cjs for each that brings much along,
// loaded when it runs.
import { basename, join } from 'node:path';
import { build, type BuildOptions, type Plugin } from 'esbuild';

const APART = ['attach', 'check', 'completion', 'explain', 'image-build', 'new', 'render', 'run', 'up', 'vars-check', 'vars-generate', 'vars-get', 'vars-list', 'vars-set'];

/** Paths are relative to `root`, the checkout, but for `outDir`. */
export async function bundleCli(root: string, outDir: string, gitCommit: string): Promise<void> {
  const options: BuildOptions = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20.12',
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    // `import()` of a CommonJS file would start Node's ES module loader: make it `require`.
    supported: { 'dynamic-import': false },
    define: { SLICER_GIT_COMMIT: JSON.stringify(gitCommit) },
    legalComments: 'none',
    // A third less to parse; names stay, for `--debug`.
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'warning',
  };
  const apart = APART.map((name) => `src/cli/commands/${name}.ts`);
  await Promise.all([
    build({ ...options, entryPoints: { slicer: 'src/cli/main.ts' }, outdir: outDir, plugins: [keepApart('./commands'), leaveOutChildProcess] }),
    // Completion is made of all commands, and so refers to them.
    build({ ...options, entryPoints: apart, outdir: join(outDir, 'commands'), plugins: [keepApart('.')] }),
  ]);
}

/** `directory`: where the others are, as the file that loads them sees it. */
const keepApart = (directory: string): Plugin => ({
  name: 'keep apart',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/commands\/.*\.ts$/ }, ({ path }) => {
      const name = basename(path, '.ts');
      return APART.includes(name) ? { path: `${directory}/${name}.cjs`, external: true } : undefined;
    });
  },
});

// commander loads it to start subcommands that are programs of their own. There are none, and loading it
// takes a tenth of the time of a short command.
const leaveOutChildProcess: Plugin = {
  name: 'leave out child_process',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:child_process$/ }, ({ path }) => ({ path, namespace: 'left-out' }));
    onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: '' }));
  },
};
