// What the role `read` may ask: what there is and how it is. A list of what is allowed, so that a route that
// nobody thought of is for admins.
import type { RouteConfig } from '@hono/zod-openapi';
import { routes } from '../api/routes.ts';

const READABLE: ReadonlySet<RouteConfig> = new Set<RouteConfig>([
  routes.listSecrets, routes.storeState, routes.info, routes.metrics, routes.listGroups, routes.listGroupNodes, routes.listNodes, routes.listNodeSecrets,
  routes.vmSecrets, routes.vmHealth,
]);

/** Consoles are not readable: a program in a guest may print what it was given. */
export const isReadable = (route: RouteConfig): boolean => READABLE.has(route);
