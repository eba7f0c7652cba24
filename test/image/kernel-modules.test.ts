import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type KernelModule, moduleName, modulesAlias, modulesDep, readModule } from '../../image/kernel-modules.ts';

const modinfo = (...fields: string[]) => Buffer.from(`\x7fELF code\0${fields.join('\0')}\0more code`, 'latin1');

const module = (name: string, depends: string[]): KernelModule =>
  ({ name, path: `${name}.ko`, data: new Uint8Array(), depends, aliases: [] });

test('a module says what it needs and by which names it is asked for', () => {
  const fields = ['license=GPL', 'alias=net-pf-40', 'alias=virtio:d00000013v*', 'depends=vsock,virtio-ring'];
  const read = readModule('net/vsock-thing.ko', modinfo(...fields));
  assert.equal(read.name, 'vsock_thing');
  assert.deepEqual(read.depends, ['vsock', 'virtio_ring']);
  assert.deepEqual(read.aliases, ['net-pf-40', 'virtio:d00000013v*']);
  assert.deepEqual(readModule('a.ko', modinfo('depends=')).depends, []);
});

test('a module is named by its file, compressed or not', () => {
  assert.equal(moduleName('kernel/drivers/char/hw_random/virtio-rng.ko.xz'), 'virtio_rng');
  assert.equal(moduleName('button.ko'), 'button');
});

test('what several need comes after all of them, so that it is loaded before all of them', () => {
  const text = modulesDep([module('loopback', ['vsock', 'common']), module('common', ['vsock']), module('vsock', [])]);
  assert.equal(text, 'loopback.ko: common.ko vsock.ko\ncommon.ko: vsock.ko\nvsock.ko:\n');
});

test('in any graph each module is listed after every module that needs it', () => {
  const graphs = fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(graphs, (graph) => {
      // Dependencies point to higher numbers only, as those of modules have no cycles.
      const modules = graph.map((edges, index) =>
        module(`m${index}`, edges.map((edge) => `m${index + 1 + edge}`).filter((name) => Number(name.slice(1)) < graph.length)));
      for (const line of modulesDep(modules).trim().split('\n')) {
        const listed = line.replace(':', '').split(' ').filter((path) => path !== '').map((path) => path.slice(0, -3));
        for (const [position, name] of listed.entries()) {
          const { depends } = modules[Number(name.slice(1))] as KernelModule;
          for (const dependency of depends) assert.ok(listed.lastIndexOf(dependency) > position, line);
        }
      }
    }),
  );
});

test('an alias leads to its module', () => {
  assert.equal(modulesAlias([{ ...module('vsock_loopback', []), aliases: ['net-pf-40'] }]), 'alias net-pf-40 vsock_loopback\n');
});
