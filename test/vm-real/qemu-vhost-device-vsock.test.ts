import { testLifecycle } from './lifecycle.ts';

await testLifecycle({ title: 'QEMU q35 with vhost-device-vsock', hypervisor: 'qemu', machine: 'q35', vsock: 'vhost-device-vsock' });
