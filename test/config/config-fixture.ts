// Parses configurations without a disk.
import { SlicerError, type Problem } from '../../src/errors/slicer-error.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/config.ts';
import type { ConfigFiles } from '../../src/config/named-files.ts';

export const noFiles: ConfigFiles = {
  read: () => {
    throw Object.assign(new Error(), { code: 'ENOENT' });
  },
  check: () => {
    throw Object.assign(new Error(), { code: 'ENOENT' });
  },
};

/** Files that are there, with what they hold. */
export function filesOf(contents: Readonly<Record<string, string | Uint8Array>>): ConfigFiles {
  const bytesOf = (path: string): Uint8Array => {
    const content = contents[path];
    if (content === undefined) throw Object.assign(new Error(), { code: 'ENOENT' });
    return typeof content === 'string' ? Buffer.from(content) : content;
  };
  return { read: bytesOf, check: (path) => void bytesOf(path) };
}

export function parse(text: string, files: ConfigFiles = noFiles): Config {
  return parseConfig(text, { file: 'slicer.yaml', directory: '/srv', files });
}

/** What is wrong with a configuration; an error for one that is right. */
export function problemsOf(text: string, files: ConfigFiles = noFiles): readonly Problem[] {
  try {
    parse(text, files);
  } catch (error) {
    if (error instanceof SlicerError) return error.problems;
    throw error;
  }
  throw new Error('expected a configuration with problems, got a right one');
}

/** The problems of one host group that is otherwise right, without `file:line:column: config.host_groups[0]`. */
export function groupProblems(line: string, files: ConfigFiles = noFiles): string[] {
  return problemsOf(group(line), files).map((problem) => problem.message.replace(/^slicer\.yaml:\d+:\d+: config\.host_groups\[0\]/, ''));
}

export const group = (line: string): string => `config:
  host_groups:
    - name: web
      ${/ram_/.test(line) ? '' : 'ram_gb: 1'}
      ${line}
`;
