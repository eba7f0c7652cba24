import { testLifecycle } from './lifecycle.ts';

await testLifecycle({ title: 'Cloud Hypervisor', hypervisor: 'cloud-hypervisor' });
