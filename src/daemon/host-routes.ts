// The daemon itself: version, liveness, and the description of its API.
import { openApiDocument } from '../api/openapi.ts';
import { routes } from '../api/routes.ts';
import { GIT_COMMIT, VERSION } from '../api/version.ts';
import { ARCH } from './node-json.ts';
import type { Router } from './router.ts';

export function attachHostRoutes({ attach, serve }: Router): void {
  attach(routes.info, async () => ({ version: VERSION, git_commit: GIT_COMMIT, platform: 'linux' as const, arch: ARCH }));
  attach(routes.healthz, async () => ({ status: 'ok' as const }));
  serve('/openapi.json', openApiDocument(VERSION));
}
