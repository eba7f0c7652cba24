// Readers of option values. Each throws usage errors that name the flag and the rule.
import { DURATION_RULE, parseDurationMs } from '../api/duration.ts';
import { fail } from '../errors/slicer-error.ts';
import { ID_MAX } from '../secret/file-attributes.ts';
import { parseSecretName, SECRET_NAME_RULE, type SecretName } from '../secret/name.ts';

export function wholeNumber(flag: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,15}$/.test(text) && value >= min && value <= max) return value;
    throw fail('usage', `${flag} must be a whole number from ${min} to ${max}`);
  };
}

export function ownerId(flag: string): (text: string) => number {
  return (text) => {
    if (/^\d{1,10}$/.test(text) && Number(text) <= ID_MAX) return Number(text);
    throw fail('invalid_owner', `${flag} must be a whole number from 0 to ${ID_MAX}`);
  };
}

export function oneOf<const Word extends string>(flag: string, words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const value = words.find((word) => word === text);
    if (value !== undefined) return value;
    throw fail('usage', `${flag} must be one of ${words.join(', ')}`);
  };
}

export function durationMs(flag: string): (text: string) => number {
  return (text) => {
    const value = parseDurationMs(text);
    if (value !== undefined) return value;
    throw fail('usage', `${flag} must be ${DURATION_RULE}`);
  };
}

export function secretName(text: string): SecretName {
  const name = parseSecretName(text);
  if (name !== undefined) return name;
  throw fail('invalid_name', `a secret's name must be ${SECRET_NAME_RULE}`);
}

/** For an option that may be repeated. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}
