// The OpenAPI description, made from the schemas that validate requests, so that the two cannot differ.
import { OpenAPIHono } from '@hono/zod-openapi';
import { routes } from './routes.ts';

const ABOUT = `Secrets stored on a host reach the microVMs that were granted them. Values go in and never come out.

Over the Unix socket file permissions decide; over TCP a request carries \`Authorization: Bearer TOKEN\`,
with the token in \`/var/lib/slicer/auth/token\`. Errors are \`{"error", "code"}\`.`;

/** The document that the daemon serves at /openapi.json. `version` is Slicer's. */
export function openApiDocument(version: string): object {
  const app = new OpenAPIHono();
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  for (const route of Object.values(routes)) app.openAPIRegistry.registerPath(route);
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Slicer', version, description: ABOUT },
    security: [{ bearer: [] }],
  });
}
