// Asks a person for what a generator needs to be told.
import type { Prompt } from '../config/generators.ts';
import { taskText, type Task } from '../generate/plan.ts';
import { fail } from '../errors/slicer-error.ts';
import { Secret, SECRET_MAX_BYTES } from '../secret/secret.ts';
import type { Context } from './context.ts';
import { askLine, askLines } from './prompt.ts';

const HOW = {
  hidden: 'one line, not shown', line: 'one line', multiline: 'lines, then Ctrl+D', 'multiline-hidden': 'lines, not shown, then Ctrl+D',
} as const satisfies Record<Prompt['type'], string>;

/** Throws usage when nothing is typed, value_too_large. */
export async function askPrompt(task: Task, { name, type, description }: Prompt, context: Context): Promise<Secret> {
  const isLines = type === 'multiline' || type === 'multiline-hidden';
  const question = { text: `${taskText(task)}: ${description ?? name} (${HOW[type]}): `, hidden: type === 'hidden' || type === 'multiline-hidden' };
  const typed = Buffer.from(await (isLines ? askLines : askLine)(question, context));
  if (typed.byteLength > SECRET_MAX_BYTES) throw fail('value_too_large', `the prompt has ${typed.byteLength} bytes; a value has at most ${SECRET_MAX_BYTES}`);
  return new Secret(typed);
}
