// `npm run build`: everything that is needed to run Slicer from this checkout, the tiny guest image too,
// since it holds the agent and so is another after each change of it.
import { setUp } from './setup-steps.ts';
import { beginStages, runScript } from './stage.ts';

runScript(async () => {
  await setUp(beginStages(), ['run', 'build']);
});
