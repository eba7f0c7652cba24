// Every error that Slicer reports, in one place: its stable code, the HTTP status the REST API
// answers with, and the exit code of the CLI. A code once released keeps its meaning.

/** Exit codes of the CLI. `slicer vm exec` also passes on the exit code of the guest's command. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  conflict: 5,
  denied: 6,
  timeout: 7,
  vmFailed: 8,
  vmForced: 9,
} as const;

interface CatalogueEntry {
  readonly status: number;
  readonly exit: number;
}

export const CATALOGUE = {
  // What somebody asked for is not well formed.
  invalid_request: { status: 400, exit: EXIT.usage },
  invalid_name: { status: 400, exit: EXIT.usage },
  invalid_permissions: { status: 400, exit: EXIT.usage },
  invalid_owner: { status: 400, exit: EXIT.usage },
  invalid_base64: { status: 400, exit: EXIT.usage },
  empty_value: { status: 400, exit: EXIT.usage },
  invalid_config: { status: 400, exit: EXIT.usage },
  prompt_unanswered: { status: 400, exit: EXIT.usage },
  usage: { status: 400, exit: EXIT.usage },
  body_too_large: { status: 413, exit: EXIT.usage },
  value_too_large: { status: 413, exit: EXIT.usage },

  // Who asks, and whether he may.
  unauthorized: { status: 401, exit: EXIT.denied },
  forbidden: { status: 403, exit: EXIT.denied },
  too_many_requests: { status: 429, exit: EXIT.failed },

  // What is there, and what is not.
  not_found: { status: 404, exit: EXIT.notFound },
  method_not_allowed: { status: 405, exit: EXIT.usage },
  secret_not_found: { status: 404, exit: EXIT.notFound },
  group_not_found: { status: 404, exit: EXIT.notFound },
  vm_not_found: { status: 404, exit: EXIT.notFound },
  value_not_found: { status: 404, exit: EXIT.notFound },
  secret_exists: { status: 409, exit: EXIT.conflict },
  value_exists: { status: 409, exit: EXIT.conflict },
  value_expired: { status: 409, exit: EXIT.conflict },
  vm_exists: { status: 409, exit: EXIT.conflict },
  vm_not_running: { status: 409, exit: EXIT.conflict },
  already_running: { status: 409, exit: EXIT.conflict },

  // The guest and its agent.
  agent_not_ready: { status: 503, exit: EXIT.failed },
  agent_unreachable: { status: 502, exit: EXIT.failed },
  agent_protocol: { status: 502, exit: EXIT.failed },
  exec_failed: { status: 502, exit: EXIT.failed },
  wait_timeout: { status: 408, exit: EXIT.timeout },

  // The store and the machine.
  store_not_private: { status: 500, exit: EXIT.failed },
  store_not_writable: { status: 500, exit: EXIT.failed },
  store_not_readable: { status: 500, exit: EXIT.failed },
  store_full: { status: 507, exit: EXIT.failed },
  audit_not_writable: { status: 500, exit: EXIT.failed },
  missing_part: { status: 500, exit: EXIT.failed },
  generate_failed: { status: 500, exit: EXIT.failed },
  build_failed: { status: 500, exit: EXIT.failed },
  secret_not_private: { status: 500, exit: EXIT.denied },
  secret_not_readable: { status: 500, exit: EXIT.failed },
  vsock_port_taken: { status: 500, exit: EXIT.failed },
  launch_failed: { status: 500, exit: EXIT.failed },
  vm_failed: { status: 500, exit: EXIT.vmFailed },
  vm_forced: { status: 500, exit: EXIT.vmForced },
  no_memory_file_system: { status: 500, exit: EXIT.failed },
  daemon_unreachable: { status: 503, exit: EXIT.unreachable },
  shutting_down: { status: 503, exit: EXIT.failed },
  internal: { status: 500, exit: EXIT.failed },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof CATALOGUE;

/** Whether a string that came over a wire is a code of this catalogue. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(CATALOGUE, code);
