import { testLifecycle } from './lifecycle.ts';

await testLifecycle({ title: "QEMU microvm with the kernel's VSOCK", hypervisor: 'qemu', machine: 'microvm', vsock: 'kernel' });
