// Imports go one way. Each ban says why; a folder may import itself and what is listed.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');

interface Rule {
  readonly mayImport: readonly string[];
  readonly because: string;
}

const RULES: Readonly<Record<string, Rule>> = {
  'src/errors': { mayImport: [], because: 'every part reports through it' },
  'src/secret': { mayImport: [], because: 'the agent compiles it' },
  'src/wire': { mayImport: [], because: 'the agent compiles it, and a second agent must need nothing else' },
  'src/socket': { mayImport: [], because: 'both faces of a VM, its VMM and its guest, are reached through it' },
  'src/api': { mayImport: ['src/errors', 'src/secret', 'src/wire'], because: 'a client must be able to use it without the daemon' },
  'src/audit': { mayImport: ['src/errors', 'src/api'], because: 'what is on record is names and codes: it must not be able to reach a value' },
  'src/delivery': { mayImport: ['src/errors', 'src/secret', 'src/wire'], because: 'it decides and never acts' },
  'src/config': { mayImport: ['src/errors', 'src/secret', 'src/wire', 'src/delivery'], because: '`slicer check` runs without a daemon' },
  'src/temporary': { mayImport: [], because: 'whoever writes files for good needs it, and it knows of names alone' },
  'src/generate': { mayImport: ['src/errors', 'src/secret', 'src/temporary', 'src/config'], because: 'a value is made from what was declared, whoever keeps or takes it' },
  'src/store': { mayImport: ['src/errors', 'src/secret', 'src/temporary'], because: 'it knows files and no VMs' },
  'src/vmm': { mayImport: ['src/errors', 'src/secret', 'src/socket', 'src/delivery'], because: 'a VMM is told what to run and knows no store' },
  'src/vm': {
    mayImport: ['src/errors', 'src/secret', 'src/socket', 'src/wire', 'src/delivery', 'src/store', 'src/vmm', 'image'],
    because: 'a VM lives on without the daemon that launched it',
  },
  'src/live': {
    mayImport: ['src/errors', 'src/secret', 'src/socket', 'src/wire', 'src/store'],
    because: 'it faces the guest: it must not reach what launches or configures VMs',
  },
  'src/run': {
    mayImport: ['src/errors', 'src/secret', 'src/temporary', 'src/wire', 'src/audit', 'src/delivery', 'src/config', 'src/vmm', 'src/vm', 'src/live', 'image'],
    because: 'a VM in the foreground has neither store nor daemon',
  },
  'src/daemon': {
    mayImport: ['src/errors', 'src/secret', 'src/wire', 'src/api', 'src/audit', 'src/delivery', 'src/config', 'src/store', 'src/vmm', 'src/vm', 'src/live', 'src/run', 'image'],
    because: 'it puts the parts together, and nothing but `slicer up` imports it',
  },
  'src/client': { mayImport: ['src/errors', 'src/secret', 'src/api'], because: 'it is the public SDK' },
  'src/cli': {
    mayImport: ['src/errors', 'src/secret', 'src/api', 'src/audit', 'src/client', 'src/config', 'src/delivery', 'src/generate', 'src/store', 'src/live', 'src/vm', 'src/run', 'image'],
    because: 'it speaks to the daemon through the client only',
  },
  agent: { mayImport: ['src/wire', 'src/secret'], because: 'a guest has no Node and must hold nothing of the host' },
  image: { mayImport: ['src/errors', 'agent/units.ts'], because: 'recipes know nothing of what runs on them' },
};

const PURE = ['src/errors', 'src/secret', 'src/wire', 'src/api', 'src/delivery'];
const IMPURE_MODULES = ['node:fs', 'node:fs/promises', 'node:net', 'node:child_process'];

/** The one file of a folder that may import more, and what. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'src/cli/commands/up.ts': 'src/daemon',
  'src/api/version.ts': 'package.json',
};

interface Import {
  readonly file: string;
  readonly specifier: string;
  /** Taken with `import()`, when it runs. */
  readonly isLate: boolean;
}

function importsBelow(folder: string): Import[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`)
    .flatMap((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      const found = text.matchAll(/(?:^(?:import|export)\b[^;]*?from |\b(import\())\s*'([^']+)'/gm);
      return [...found].map(([, late, specifier]) => ({ file, specifier: specifier as string, isLate: late !== undefined }));
    });
}

function folderOf(target: string): string {
  return Object.keys(RULES).find((folder) => target.startsWith(`${folder}/`)) ?? target;
}

for (const [folder, { mayImport, because }] of Object.entries(RULES)) {
  test(`${folder} imports only ${mayImport.join(', ') || 'nothing'}, because ${because}`, () => {
    const imports = importsBelow(folder);
    assert.ok(imports.length > 0 || ['src/errors', 'src/secret', 'src/socket', 'src/temporary'].includes(folder), `no import found below ${folder}`);
    const broken = imports.filter(({ specifier }) => specifier.startsWith('.')).flatMap(({ file, specifier }) => {
      const path = relative(ROOT, resolve(ROOT, dirname(file), specifier));
      const target = folderOf(path);
      const allowed = target === folder || [target, path].some((each) => mayImport.includes(each)) || EXCEPTIONS[file] === target;
      return allowed ? [] : [`${file} imports ${specifier}`];
    });
    assert.deepEqual(broken, []);
  });
}

test('no file imports itself by way of others, types included', () => {
  const imported = new Map<string, string[]>();
  for (const folder of [...Object.keys(RULES), 'scripts', 'bench', 'test']) {
    for (const { file, specifier, isLate } of importsBelow(folder)) {
      if (!specifier.startsWith('.') || isLate) continue;
      imported.set(file, [...imported.get(file) ?? [], relative(ROOT, resolve(ROOT, dirname(file), specifier))]);
    }
  }
  const circles: string[] = [];
  const done = new Set<string>();
  const follow = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
    else if (!done.has(file)) for (const next of imported.get(file) ?? []) follow(next, [...path, file]);
    done.add(file);
  };
  for (const file of imported.keys()) follow(file, []);
  assert.deepEqual(circles, []);
  assert.ok(done.size > 300, `${done.size} files seen`);
});

test('what decides touches no file, socket or process, so that it can be tested as a table', () => {
  const broken = PURE.flatMap(importsBelow).filter(({ specifier }) => IMPURE_MODULES.includes(specifier));
  assert.deepEqual(broken, []);
});

test('the wire format needs no library, because the agent is compiled from it', () => {
  const broken = [...importsBelow('src/wire'), ...importsBelow('src/secret')].filter(({ specifier }) => !specifier.startsWith('.'));
  assert.deepEqual(broken, []);
});

test('a secret\'s plaintext is taken out in few, known places', () => {
  const files = Object.keys(RULES).flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`));
  const revealing = [...new Set(files)].filter((file) => /\.reveal\(\)/.test(readFileSync(join(ROOT, file), 'utf8')));
  const known = [
    'src/delivery/', 'src/generate/', 'src/live/', 'src/store/', 'src/vm/', 'src/vmm/cloud-hypervisor-config.ts', 'src/run/render.ts',
    'src/cli/commands/secret-create.ts', 'src/cli/commands/vars-get.ts',
  ];
  assert.deepEqual(revealing.filter((file) => !known.some((folder) => file.startsWith(folder))), []);
  assert.ok(revealing.length > 0);
});
