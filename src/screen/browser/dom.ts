/** Elements of the page. Whatever is put in is put in as text, never as markup. */

/** The element of markup.ts with that id. */
export function $(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement;
}

/** An element without text is not shown. */
export function put(id: string, value: string): void {
  const element = $(id);
  if (element.textContent !== value) element.textContent = value;
  element.hidden = value === '';
}

export function add(parent: HTMLElement, tag: string, value: string): HTMLElement {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = value;
  return element;
}

export function empty(id: string): HTMLElement {
  const element = $(id);
  element.textContent = '';
  return element;
}
