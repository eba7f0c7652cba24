// Names of VMs: `<group>-N`, or what the operator calls a VM that something else started.

/** One label of a host name (RFC 1123, 2.1), in lower case: also safe as a name of a directory. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NUMBERED = /^(.+)-([1-9][0-9]{0,8})$/;

export function isHostname(text: string): boolean {
  return LABEL.test(text);
}

/** The group's name and N of `<group>-N`; undefined for a name that is not of this form. */
export function parseNumbered(hostname: string): { group: string; number: number } | undefined {
  const match = NUMBERED.exec(hostname);
  return match === null ? undefined : { group: match[1] as string, number: Number(match[2]) };
}

/** The group's next host name: one above the highest number in `taken`, so that numbers grow. */
export function nextHostname(group: string, taken: Iterable<string>): string {
  let highest = 0;
  for (const hostname of taken) {
    const numbered = parseNumbered(hostname);
    if (numbered?.group === group) highest = Math.max(highest, numbered.number);
  }
  return `${group}-${highest + 1}`;
}

/** Ordered by group, then by number. Each name is taken apart once, however many there are. */
export function sortedByHostname<T extends { readonly hostname: string }>(all: Iterable<T>): T[] {
  return [...all]
    .map((item) => ({ item, ...(parseNumbered(item.hostname) ?? { group: item.hostname, number: 0 }) }))
    .sort((a, b) => (a.group === b.group ? a.number - b.number : a.group < b.group ? -1 : 1))
    .map(({ item }) => item);
}
