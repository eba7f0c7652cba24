import { testLifecycle } from './lifecycle.ts';

await testLifecycle({ title: 'Firecracker', hypervisor: 'firecracker' });
