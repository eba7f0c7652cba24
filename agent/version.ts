/** Put in place by the build, from package.json. */
declare const __VERSION__: string;

export const AGENT_VERSION: string = __VERSION__;
