// A YAML text as plain data, with the line and column of every part of it. Texts of syntax problems are
// this file's own: those of the parser quote the source, which may hold what nobody should see.
import {
  isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type ErrorCode, type Node,
} from 'yaml';
import { FORBIDDEN_KEY, FORBIDDEN_KEY_RULE, type ConfigDocument, type Issue, type Path, type Position } from './document.ts';

const SYNTAX = {
  BAD_ALIAS: 'the alias has no anchor above it',
  BAD_DQ_ESCAPE: 'the escape sequence in double quotes is unknown',
  BAD_INDENT: 'the indentation fits nothing above, or a bracket is not closed',
  BLOCK_AS_IMPLICIT_KEY: 'expected a value, got a second ": " on the line; put the text in quotes',
  DUPLICATE_KEY: 'the key is there twice',
  MISSING_CHAR: 'a quote, bracket, comma or space is missing',
  MULTIPLE_DOCS: 'expected one document, got a second one',
  NON_STRING_KEY: 'expected text as a key',
  TAB_AS_INDENT: 'expected spaces for indentation, got a tab',
  TAG_RESOLVE_FAILED: 'the tag is unknown',
} as const satisfies Partial<Record<ErrorCode, string>>;

// Of all aliases together, counted with what they lead to: this stops "billion laughs" documents.
const MAX_ALIASES = 100;

export function readDocument(text: string): ConfigDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const syntaxProblems = [...document.errors, ...document.warnings].map((error) => ({
    ...positionAt(error.pos[0]), message: (SYNTAX as Partial<Record<ErrorCode, string>>)[error.code] ?? `is not valid YAML (${error.code})`,
  }));
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return;
      syntaxProblems.push({ ...positionAt(alias.range?.[0] ?? 0), message: SYNTAX.BAD_ALIAS });
    },
    Pair(_key, { key }) {
      if (isScalar(key) && key.value === FORBIDDEN_KEY) syntaxProblems.push({ ...positionAt(key.range?.[0] ?? 0), message: FORBIDDEN_KEY_RULE });
    },
  });
  let data: unknown;
  if (syntaxProblems.length === 0) {
    try {
      data = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch {
      syntaxProblems.push({ line: 1, column: 1, message: `expected at most ${MAX_ALIASES} uses of an alias` });
    }
  }
  return { data, syntaxProblems, positionOf: (path, at) => positionAt(offsetOf(document, path, at)) };
}

function offsetOf(document: Document.Parsed, path: Path, at: Issue['at']): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, step] of path.entries()) {
    const isLast = depth === path.length - 1;
    const resolved: unknown = isAlias(node) ? node.resolve(document) : node;
    if (isSeq(resolved)) {
      node = (resolved.items[Number(step)] ?? null) as Node | null;
    } else if (isMap(resolved)) {
      const pair = resolved.items.find((item) => isScalar(item.key) && item.key.value === step);
      const key = pair?.key as Node | null | undefined;
      node = (pair?.value ?? null) as Node | null;
      if (key?.range !== undefined && key.range !== null && ((isLast && at === 'key') || node === null)) return key.range[0];
    } else {
      return offset;
    }
    if (node?.range === undefined || node.range === null) return offset;
    offset = node.range[0];
  }
  return offset;
}
