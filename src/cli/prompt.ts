// Asks at the terminal. What is hidden is shown nowhere; questions go to stderr, since stdout may be a file.
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { fail } from '../errors/slicer-error.ts';
import type { Context } from './context.ts';
import { escapeLine } from './terminal-text.ts';

export interface Question {
  readonly text: string;
  readonly hidden: boolean;
}

/** One line, without its end. Throws usage when nothing is typed. */
export function askLine(question: Question, context: Context): Promise<string> {
  return ask(question, context, (prompt, done) => {
    // readline writes its prompt again with each correction of the line.
    if (question.hidden) context.stderr.write(escapeLine(question.text));
    else prompt.setPrompt(escapeLine(question.text));
    prompt.once('line', done).once('close', () => done(''));
  });
}

/** Lines up to Ctrl+D, each with its end. Throws usage when nothing is typed. */
export function askLines(question: Question, context: Context): Promise<string> {
  return ask(question, context, (prompt, done) => {
    context.stderr.write(`${escapeLine(question.text)}\n`);
    prompt.setPrompt('');
    let text = '';
    prompt.on('line', (line) => (text += `${line}\n`)).once('close', () => done(text));
    prompt.once('SIGINT', () => (text = ''));
  });
}

type Prompt = ReturnType<typeof createInterface>;

async function ask({ hidden }: Question, context: Context, begin: (prompt: Prompt, done: (typed: string) => void) => void): Promise<string> {
  // readline's raw mode keeps the terminal from echoing, and its own echo goes nowhere;
  // only then is anything asked, so that nothing is typed before.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const prompt = createInterface({ input: context.stdin, output: hidden ? nowhere : context.stderr, terminal: true });
  const typed = new Promise<string>((resolve) => begin(prompt, resolve));
  prompt.on('SIGINT', () => prompt.close());
  prompt.prompt();
  const value = await typed;
  prompt.close();
  if (hidden) context.stderr.write('\n');
  if (value === '') throw fail('usage', 'no value was typed: nothing was changed');
  return value;
}
