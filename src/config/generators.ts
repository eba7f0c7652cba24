// Generators, after their file was read and checked: how values are made where they are missing. Files,
// prompts, dependencies and share are as clan's vars have them; no value is in any of it.

export interface GeneratorFile {
  readonly name: string;
  /** Whether only its owner may read it (0400); a public one is for all (0444). */
  readonly secret: boolean;
}

export const PROMPT_TYPES = ['hidden', 'line', 'multiline', 'multiline-hidden'] as const;
export type PromptType = (typeof PROMPT_TYPES)[number];

export interface Prompt {
  readonly name: string;
  readonly type: PromptType;
  readonly description: string | undefined;
}

export const RANDOM_ENCODINGS = ['base64', 'hex', 'alphanumeric'] as const;
export type RandomEncoding = (typeof RANDOM_ENCODINGS)[number];

export const KINDS = ['random', 'password', 'uuid', 'ssh-ed25519', 'age', 'x509', 'wireguard', 'command', 'prompt'] as const;
export type Kind = (typeof KINDS)[number];

/** `length`: bytes of randomness before base64 and hex, characters of alphanumeric. */
export interface RandomRecipe {
  readonly kind: 'random';
  readonly encoding: RandomEncoding;
  readonly length: number;
}

export interface CertificateRecipe {
  readonly kind: 'x509';
  /** Undefined: the machine, or the generator where machines share it. */
  readonly commonName: string | undefined;
  /** DNS names and IP addresses that it is for; empty: the common name, unless it is a CA's. */
  readonly names: readonly string[];
  readonly lifetimeDays: number;
  readonly isCa: boolean;
  /** The generator of the CA; undefined: signed by itself. */
  readonly signedBy: string | undefined;
}

export interface CommandRecipe {
  readonly kind: 'command';
  /** A program and its arguments, or lines for `sh -eu`. */
  readonly run: readonly [string, ...string[]] | string;
  readonly timeoutSeconds: number;
  /** The file that is what it prints; undefined: it writes all its files itself. */
  readonly stdout: string | undefined;
}

export type Recipe =
  | RandomRecipe
  /** `length`: characters. */
  | { readonly kind: 'password'; readonly length: number }
  | { readonly kind: 'uuid' }
  | { readonly kind: 'ssh-ed25519'; readonly comment: string | undefined }
  | { readonly kind: 'age' }
  | { readonly kind: 'wireguard' }
  | { readonly kind: 'prompt' }
  | CertificateRecipe
  | CommandRecipe;

export interface Generator {
  readonly name: string;
  /** Whether all machines have the same values. */
  readonly share: boolean;
  /** Generators whose values it is made from. */
  readonly dependencies: readonly string[];
  /** At least one. */
  readonly files: readonly GeneratorFile[];
  readonly prompts: readonly Prompt[];
  readonly recipe: Recipe;
}

export interface VarsMachine {
  readonly name: string;
  /** In the order of the file; those that machines share are elsewhere. */
  readonly generators: readonly Generator[];
}

/** What `slicer vars` takes of an inventory. */
export interface VarsInventory {
  /** Generators with `share`. */
  readonly shared: readonly Generator[];
  readonly machines: readonly VarsMachine[];
}

/** 32 bytes in base64: what a value is made as where nothing says how. */
export const DEFAULT_RANDOM: RandomRecipe = { kind: 'random', encoding: 'base64', length: 32 };
export const DEFAULT_PASSWORD_LENGTH = 24;

/** The files of the kinds that always make the same ones, and whether each is secret. */
export const FIXED_FILES: Readonly<Partial<Record<Kind, Readonly<Record<string, boolean>>>>> = {
  password: { password: true, hash: true },
  'ssh-ed25519': { key: true, 'key.pub': false },
  age: { identity: true, recipient: false },
  wireguard: { 'private-key': true, 'public-key': false },
  x509: { 'key.pem': true, 'cert.pem': false, 'ca.pem': false },
};
