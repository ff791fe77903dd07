/** Texts in the reader's language, by name; `%(name)s` is filled in. */
export type Words = Record<string, string>;

/** The words with their facts filled in. */
export function fill(words: Words, name: string, facts: Record<string, string | number> = {}): string {
  return (words[name] ?? name).replace(/%\((\w+)\)s/g, (_, fact: string) => String(facts[fact] ?? ""));
}
