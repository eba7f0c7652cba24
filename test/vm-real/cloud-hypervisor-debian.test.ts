import { testDebian } from './debian.ts';

await testDebian({ title: 'Cloud Hypervisor', hypervisor: 'cloud-hypervisor' });
