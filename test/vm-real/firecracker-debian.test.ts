import { testDebian } from './debian.ts';

await testDebian({ title: 'Firecracker', hypervisor: 'firecracker' });
