import { testLifecycle } from './lifecycle.ts';

await testLifecycle({ title: "QEMU q35 with the kernel's VSOCK", hypervisor: 'qemu', machine: 'q35', vsock: 'kernel' });
