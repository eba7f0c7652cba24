import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseVarsInventory } from '../../src/config/generators-load.ts';
import { loadInventory, parseInventory } from '../../src/config/inventory-load.ts';
import type { Inventory, InventoryVm } from '../../src/config/inventory.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';

const parse = (text: string): Inventory => parseInventory(text, { file: 'i.yaml', directory: '/srv' });
const settings = (text: string): string => `{instances: {web: {roles: {guest: {machines: {host: {settings: {${text}}}}}}}}}`;
/** Several instances on one machine, each with settings of its own. */
const instances = (...all: readonly string[]): string =>
  `{instances: {${all.map((text, index) => `i${index}: {roles: {guest: {machines: {host: {settings: {${text}}}}}}}`).join(', ')}}}`;

async function problemsOf(read: () => unknown): Promise<string[]> {
  try {
    await read();
  } catch (error) {
    if (error instanceof SlicerError) return error.problems.map(({ message }) => message);
    throw error;
  }
  return [];
}

const only = ({ vms }: Inventory): InventoryVm => {
  assert.equal(vms.length, 1);
  return vms[0] as InventoryVm;
};

test('an instance needs nothing but a machine: it gets the Debian image and the defaults of a run file', () => {
  for (const machine of ['', '{}', '{settings: }', '{config: {}}']) {
    const { run, ...rest } = only(parse(`{instances: {web: {roles: {guest: {machines: {host: ${machine}}}}}}}`));
    assert.deepEqual(rest, { name: 'web', instance: 'web', machine: 'host', generated: [] });
    assert.deepEqual([run.name, run.boot, run.ramBytes, run.vmm.hypervisor], ['web', { kind: 'image', image: 'debian', cmdline: undefined }, 512 * 1024 ** 2, 'qemu']);
  }
});

test('a kernel or an image of the settings is taken instead of the Debian image', () => {
  assert.deepEqual(only(parse(settings('kernel: k'))).run.boot, { kind: 'kernel', kernel: '/srv/k', initrd: undefined, cmdline: 'console=ttyS0 panic=-1' });
  assert.deepEqual(only(parse(settings('image: tiny'))).run.boot, { kind: 'image', image: 'tiny', cmdline: undefined });
});

test('an instance on several machines is named INSTANCE/MACHINE, and its VMs by both', () => {
  const { vms } = parse('{instances: {web: {roles: {guest: {machines: {a: {}, b: {settings: {name: other}}}}}}, db: {roles: {guest: {machines: {a: {}}}}}}}');
  assert.deepEqual(vms.map(({ name, run }) => [name, run.name]), [['web/a', 'web-a'], ['web/b', 'other'], ['db', 'db']]);
});

test('a secret with generateSecret, or without any source, has its value in vars/ and a command that makes it', () => {
  const { run, generated } = only(parse(settings('runtimeSecrets: {key: {generateSecret: true}, plain: , path: {secretPath: p}, unit: {generateSecret: false}}')));
  const place = (file: string) => ({ machine: 'host', generator: 'microvm-web', file });
  assert.deepEqual(generated, [{ secret: 'key', value: place('key') }, { secret: 'plain', value: place('plain') }]);
  const remedy = 'slicer vars --inventory i.yaml generate host';
  assert.deepEqual(run.secrets.map(({ path, remedy: hint }) => [path, hint]), [
    ['/srv/vars/host/microvm-web/key', remedy], ['/srv/vars/host/microvm-web/plain', remedy], ['/srv/p', undefined], [undefined, undefined],
  ]);
});

test('a secret may be a file of a generator that stands beside the instances', () => {
  const text = settings('runtimeSecrets: {tls: {var: web-tls/key.pem}}').replace(/}$/, ', generators: {web-tls: {kind: x509}}}');
  assert.equal(only(parse(text)).run.secrets[0]?.path, '/srv/vars/host/web-tls/key.pem');
});

test('a secret of a generator that machines share is where they share it, and one of the instance\'s own generator with its other values', () => {
  const text = settings('runtimeSecrets: {a: {var: ca/key.pem}, b: {var: web-tls/value}, c: }')
    .replace(/}$/, ', generators: {ca: {kind: x509, isCa: true, share: true}, web-tls: {}, microvm-web: {files: {c: , d: }}}}');
  assert.deepEqual(only(parse(text)).run.secrets.map(({ path }) => path), ['/srv/vars/.shared/ca/key.pem', '/srv/vars/host/web-tls/value', '/srv/vars/host/microvm-web/c']);
});

test('a file that a generator does not make is refused, and so is a generator that is not right', async () => {
  const declared = (generators: string): Promise<string[]> => problemsOf(() => parse(settings('runtimeSecrets: {a: {var: web-tls/key}}').replace(/}$/, `, generators: ${generators}}`)));
  assert.match((await declared('{web-tls: {kind: x509}}')).join(), /var: expected a file of generator "web-tls": key\.pem, cert\.pem$/);
  assert.match((await declared('{web-tl: {}}')).join(), /var: expected a generator that the inventory has under generators; did you mean "web-tl"$/);
  const [problem, ...more] = await declared('{web-tls: {kind: x509x}}');
  assert.match(String(problem), /^i\.yaml:1:\d+: generators\.web-tls\.kind: /);
  assert.deepEqual(more, []);
});

test('credentialFiles has paths by the names of credentials', () => {
  const { run } = only(parse(settings('credentialFiles: {DB: /run/db, tls: tls.pem}, runtimeSecrets: {a: {secretPath: /a}}')));
  assert.deepEqual(run.secrets.map(({ wish, path }) => [wish.secret, wish.name, path]), [['a', 'a', '/a'], ['DB', 'DB', '/run/db'], ['tls', 'tls', '/srv/tls.pem']]);
});

const WHERE = 'instances.web.roles.guest.machines.host.settings';
/** Settings, and what each problem says after file, line, column and the path of the settings; none: they are taken. */
const SETTINGS: readonly (readonly [string, ...RegExp[]])[] = [
  ['vcpu: 0', /^\.vcpu: expected an integer of 1 to 255, got 0$/],
  ['vcpus: 1', /^\.vcpus: is no key of settings; did you mean "vcpu"$/],
  ['credentialsFiles: {}', /^\.credentialsFiles: is no key of settings; did you mean "credentialFiles"$/],
  ['name: A_b', /^\.name: expected a name of 1 to 63/],
  ['initrd: i', /^: expected image or kernel, got none$/],
  ['image: tiny, kernel: k', /^\.kernel: is for guests of one's own/],
  ['volumes: [{image: a.img}]', /^\.volumes\[0\]: expected size in MiB/],
  ['runtimeSecrets: [a]', /^\.runtimeSecrets: expected a map of secrets by their names/],
  ['runtimeSecrets: {a: x}', /^\.runtimeSecrets\.a: expected a map with secretPath$/],
  ['runtimeSecrets: {a: {generatesecret: true}}', /^\.runtimeSecrets\.a\.generatesecret: is no key of a secret; did you mean "generateSecret"$/],
  ['runtimeSecrets: {a: {generateSecret: "yes"}}', /^\.runtimeSecrets\.a\.generateSecret: expected true or false$/],
  ['runtimeSecrets: {a: {generateSecret: true, secretPath: /x}}', /^\.runtimeSecrets\.a\.generateSecret: expected one of secretPath, var and generateSecret: true, got secretPath too$/],
  ['runtimeSecrets: {a: {generateSecret: false, secretPath: /x}}'],
  ['runtimeSecrets: {a: {var: tls/key}}', /^\.runtimeSecrets\.a\.var: expected a generator that the inventory has under generators$/],
  ['runtimeSecrets: {a: {var: ../key}}', /^\.runtimeSecrets\.a\.var: expected GENERATOR\/FILE$/],
  ['runtimeSecrets: {../a: {}}', /expected the name of a secret/],
  ['runtimeSecrets: {a: {secretPath: /nix/store/x-a}}', /^\.runtimeSecrets\.a\.secretPath: expected a path outside the Nix store/],
  ['runtimeSecrets: {a: {oemCredentialName: X}, b: {oemCredentialName: X}}', /credential "X" is there twice, for secrets "a" and "b"/],
  ['runtimeSecrets: {a: {oemCredentialName: X}}, credentialFiles: {X: /x}', /^\.credentialFiles\.X: credential "X" is there twice, for secrets "a" and "X"/],
  ['runtimeSecrets: {a: }, credentialFiles: {a: /x}', /^\.credentialFiles\.a: expected a name of its own, got that of a secret in runtimeSecrets$/],
  ['credentialFiles: {a: 5}', /^\.credentialFiles\.a: expected a path$/],
  ['credentialFiles: [a]', /^\.credentialFiles: expected a map of paths by the names of credentials$/],
  ['credentialFiles: {a: /nix/store/x-a}', /^\.credentialFiles\.a: expected a path outside the Nix store/],
  ['credentialFiles: '],
];

for (const [text, ...patterns] of SETTINGS) {
  test(`settings with ${text} are ${patterns.length === 0 ? 'taken' : 'refused'}`, async () => {
    const problems = await problemsOf(() => parse(settings(text)));
    assert.equal(problems.length, patterns.length, problems.join('\n'));
    for (const [index, pattern] of patterns.entries()) {
      const [, said] = /^i\.yaml:1:\d+: (.*)$/.exec(problems[index] as string) ?? [];
      assert.ok(said?.startsWith(WHERE), problems[index]);
      assert.match(said?.slice(WHERE.length) as string, pattern);
    }
  });
}

/** Inventories, and what the problem of each says. */
const INVENTORIES: readonly (readonly [string, RegExp])[] = [
  ['instance: {}', /^i\.yaml:1:1: instance: is no key of an inventory; did you mean "instances"$/],
  ['config: {}', /is the key of slicer\.yaml/],
  ['[a]', /^i\.yaml:1:1: expected a map with instances, got a list$/],
  ['instances: []', /instances: expected a map of instances by their names, got a list/],
  ['instances: {a: {}}', /instances\.a\.roles: is missing; expected a map of roles by their names/],
  ['instances: {a: {module: {name: borgbackup}, roles: {}}}', /module\.name: expected one of microvm, slicer, got "borgbackup"$/],
  ['instances: {a: {module: {nam: microvm}, roles: {}}}', /module\.nam: is no key of module; did you mean "name"$/],
  ['instances: {a: {roles: {r: {machine: {}}}}}', /(machines: is missing|machine: is no key of a role; did you mean "machines")/],
  ['instances: {a: {roles: {r: {machines: {m: {}}, tags: [all]}}}}', /tags: is a key of clan that this version does not support; name the machines$/],
  ['instances: {a: {roles: {r: {machines: {m: {setting: {}}}}}}}', /setting: is no key of a machine; did you mean "settings"$/],
  ['instances: {a: {roles: {r: {machines: {m: {settings: {}, config: {}}}}}}}', /config: expected one of settings, config, got settings too$/],
  ['instances: {a: {roles: {r: {machines: {m: {settings: [x]}}}}}}', /settings: expected a map with the keys of a file for `slicer run`$/],
  ['instances: {a: {roles: {r: {machines: {../m: {settings: {name: x}}}}}}}', /expected a name: 1 to 253 of/],
  ['instances: {../a: {roles: {r: {machines: {m: {settings: {name: x}}}}}}}', /expected a name: 1 to 253 of/],
  ['instances: {a: {roles: {r: {machines: {m: }}, s: {machines: {m: }}}}}', /s\.machines\.m: expected each machine once in an instance, got this one in role "r" too$/],
];

for (const [text, pattern] of INVENTORIES) {
  test(`an inventory with ${text} is refused`, async () => {
    const problems = await problemsOf(() => parse(text));
    assert.ok(problems.some((problem) => pattern.test(problem)), problems.join('\n'));
  });
}

const CLASHES: readonly (readonly [string, string, RegExp?])[] = [
  ['vsock: {cid: 7}', 'vsock: {cid: 7}', /vsock\.cid: expected a CID of its own, got that of instance "i0"$/],
  ['vsock: {cid: 7}', 'vsock: {cid: 8}'],
  ['vsock: {socket: s}', 'vsock: {socket: ./s}', /vsock\.socket: expected a socket of its own/],
  ['shares: [{tag: t, socket: s}]', 'shares: [{tag: u, socket: s}]', /shares\[0\]\.socket: expected a socket of its own/],
  ['vsock: {socket: s}', 'shares: [{tag: u, socket: s}]', /shares\[0\]\.socket: expected a socket of its own/],
  ['volumes: [{image: d, size: 1}]', 'volumes: [{image: e, size: 1}, {image: /srv/d, readOnly: true}]', /volumes\[1\]\.image: expected a disk of its own, got that of instance "i0"$/],
  ['volumes: [{image: d, readOnly: true}]', 'volumes: [{image: d, readOnly: true}]'],
  ['interfaces: [{type: tap, id: t0}]', 'interfaces: [{type: tap, id: t0}]', /interfaces\[0\]\.id: expected an interface of its own/],
  ['name: x', 'name: x', /settings\.name: expected a name of its own/],
];

for (const [first, second, pattern] of CLASHES) {
  test(`on one machine ${first} and ${second} ${pattern === undefined ? 'go together' : 'clash'}`, async () => {
    const problems = await problemsOf(() => parse(instances(first, second)));
    assert.equal(problems.length, pattern === undefined ? 0 : 1, problems.join('\n'));
    if (pattern !== undefined) assert.match(problems.join(), pattern);
    const apart = instances(first, second).replace('host', 'elsewhere');
    assert.deepEqual(await problemsOf(() => parse(apart)), []);
  });
}

test('all problems are reported at once, those of one instance and those between two, in the order of the file', async () => {
  const problems = await problemsOf(() => parse(`instances:
  a:
    roles: {guest: {machines: {host: {settings: {vsock: {cid: 7}}}}}}
  b:
    roles: {guest: {machines: {host: {settings: {vcpu: 0, mem: 1}}}}}
  c:
    roles: {guest: {machines: {host: {settings: {vsock: {cid: 7}}}}}}
    rolls: {}
`));
  assert.deepEqual(problems.map((problem) => problem.replace(/^i\.yaml:(\d+):\d+: .*\.(\w+): .*$/, '$1 $2')), ['5 vcpu', '5 mem', '7 cid', '8 rolls']);
});

test('no text makes the reader throw anything but problems that stand in the file', async () => {
  const tree = fc.letrec((tie) => ({
    node: fc.oneof({ depthSize: 'small' }, fc.constantFrom(null, 1, 'x', true, []), fc.dictionary(fc.constantFrom('instances', 'roles', 'machines', 'settings', 'runtimeSecrets', 'credentialFiles', 'a', 'module'), tie('node'))),
  })).node;
  const shaped = tree.map((value) => JSON.stringify({ instances: { a: { roles: { guest: { machines: { m: { settings: value } } } } } } }));
  await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), fc.json(), tree.map((value) => JSON.stringify(value)), shaped), async (text) => {
    for (const problem of await problemsOf(() => parse(text))) assert.match(problem, /^i\.yaml:\d+:\d+: /);
  }));
});

test('what may be a value in the wrong place is not repeated', async () => {
  const canary = 'canary-8c1f';
  for (const text of [
    `runtimeSecrets: {a: ${canary}}`, `runtimeSecrets: {a: {generateSecret: ${canary}}}`, `runtimeSecrets: {a: {secretPath: [${canary}]}}`,
    `runtimeSecrets: {a: {var: ${canary}}}`, `credentialFiles: {a: [${canary}]}`, `credentialFiles: ${canary}`, `staticOEMStrings: [{a: ${canary}}]`,
  ]) {
    const problems = await problemsOf(() => parse(settings(text)));
    assert.ok(problems.length > 0, text);
    assert.ok(!problems.join().includes(canary), problems.join());
  }
  assert.ok(!(await problemsOf(() => parse(settings('').replace('{}', canary)))).join().includes(canary));
});

/** Each has the key in the place of a name. */
const FORBIDDEN_KEYS = [
  '{__proto__: {}}',
  '{instances: {__proto__: {roles: {}}}}',
  '{instances: {web: {roles: {__proto__: {machines: {}}}}}}',
  '{instances: {web: {roles: {guest: {machines: {__proto__: {}}}}}}}',
  settings('__proto__: 1'),
  settings('runtimeSecrets: {"__proto__": {}}'),
  settings('credentialFiles: {__proto__: /a}'),
  '{generators: {__proto__: {kind: uuid}}}',
  '{generators: {g: {files: {__proto__: }}}}',
  '{generators: {g: {prompts: {__proto__: }}}}',
];

for (const text of FORBIDDEN_KEYS) {
  test(`a name that libraries drop in silence is refused: ${text}`, async () => {
    for (const read of [() => parse(text), () => parseVarsInventory(text, 'i.yaml')]) {
      const problems = await problemsOf(read);
      assert.match(problems.join('\n'), /^i\.yaml:1:\d+: expected another key than __proto__$/);
      // As many characters before it as the column says.
      assert.equal(text.slice(Number(problems[0]?.split(':')[2]) - 1).replace('"', '').indexOf('__proto__'), 0);
    }
  });
}

test('what says neither which of two sources is meant is refused to who makes values, as to who starts VMs', async () => {
  const text = settings('runtimeSecrets: {a: {generateSecret: true, secretPath: /x}}');
  const problems = await problemsOf(() => parseVarsInventory(text, 'i.yaml'));
  assert.deepEqual(problems, await problemsOf(() => parse(text)));
  assert.match(problems.join(), /expected one of secretPath, var and generateSecret: true, got secretPath too$/);
});

test('whatever is written of a secret, who makes values makes those that who starts VMs expects', () => {
  const anySource = fc.record({
    secretPath: fc.constantFrom('/x', null), var: fc.constantFrom('g/value', null), generateSecret: fc.constantFrom(true, false, null),
  }, { requiredKeys: [] });
  fc.assert(fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.option(anySource)), (secrets) => {
    const text = settings(`runtimeSecrets: ${JSON.stringify(secrets)}`).replace(/}$/, ', generators: {g: {}}}');
    const attempt = (read: () => readonly string[]): readonly string[] | string => {
      try {
        return [...read()].sort();
      } catch (error) {
        return (error as SlicerError).problems.map(({ message }) => message).sort().join('\n');
      }
    };
    const started = attempt(() => only(parse(text)).generated.filter(({ value }) => value.generator === 'microvm-web').map(({ value }) => value.file));
    const made = attempt(() => parseVarsInventory(text, 'i.yaml').machines.flatMap(({ generators }) =>
      generators.filter(({ name }) => name === 'microvm-web').flatMap(({ files }) => files.map(({ name }) => name))));
    assert.deepEqual(made, started);
  }));
});

test('a file that is not there is not found', async () => {
  await assert.rejects(loadInventory({ file: 'gone.yaml', directory: '/nonexistent' }, {}), { code: 'not_found' });
});

const withoutNix = (() => {
  try {
    execFileSync('nix-instantiate', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'nix-instantiate is not there: apt-get install nix-bin';
  }
})();

const load = (file: string): Promise<Inventory> => loadInventory({ file: `inventory/${file}`, directory: import.meta.dirname, varsDir: '/vars' }, process.env);

test('an inventory in Nix that is a function, with a secret that is generated and one from a path', { skip: withoutNix }, async () => {
  const { name, machine, run, generated } = only(await load('my-microvm.nix'));
  assert.deepEqual([name, machine, run.vmm.hypervisor, run.cpus, run.ramBytes], ['my-app-vm', 'my-host', 'cloud-hypervisor', 2, 1024 ** 3]);
  assert.deepEqual(run.secrets.map(({ wish, path }) => [wish.name, path]), [
    ['API_KEY', '/vars/my-host/microvm-my-app-vm/api-key'], ['DB_PASSWORD', '/run/secrets/vars/my-db/password'],
  ]);
  assert.deepEqual(generated.map(({ secret }) => secret), ['api-key']);
  assert.deepEqual(run.staticOemStrings, ['io.systemd.credential:ENVIRONMENT=production']);
});

test('an inventory in Nix whose secrets say nothing but their names', { skip: withoutNix }, async () => {
  const { run } = only(await load('my-app.nix'));
  assert.deepEqual(run.secrets.map(({ wish, path }) => [wish.name, path]), [
    ['API_KEY', '/vars/my-host/microvm-my-app/api-key'], ['DB_PASSWORD', '/vars/my-host/microvm-my-app/db-pass'],
  ]);
  assert.deepEqual(run.boot, { kind: 'image', image: 'debian', cmdline: undefined });
});

test('a name that libraries drop in silence is refused in Nix too, with its attribute', { skip: withoutNix }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-nix-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'i.nix'), '{ generators.g.files.__proto__ = { }; instances.__proto__ = { }; }');
  const problems = await problemsOf(() => loadInventory({ file: 'i.nix', directory }, process.env));
  assert.deepEqual(problems, ['generators.g.files', 'instances'].map((path) => `i.nix: ${path}.__proto__: expected another key than __proto__`));
});
