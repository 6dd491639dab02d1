/**
 * What is wrong with how a page lies on its panel, found in the browser itself: text beyond the edge or cut off, text
 * upon text, text too small or too faint (WCAG 2.1: 4.5, for large text 3), buttons too small for a finger.
 */
import type { Page } from 'playwright-core';

/** Each fault in words; empty where there is none. What scrolls may go beyond its own box. */
export async function layoutFaults(page: Page): Promise<string[]> {
  return page.evaluate(inBrowser) as Promise<string[]>;
}

/** Text of an element that may scroll is looked at as far as it shows. */
const inBrowser = String.raw`(() => {
  const faults = [];
  const scrolls = (element) => element.closest('#entries, #raw, #failureWords') !== null;
  const isShown = (element) => element.getClientRects().length > 0 && getComputedStyle(element).visibility === 'visible';
  const leaves = [...document.body.querySelectorAll('*')].filter(
    (element) => isShown(element) && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '')
      && !/^(SCRIPT|STYLE)$/.test(element.tagName));
  const boxOf = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return range.getBoundingClientRect();
  };
  const name = (element) => (element.id || element.tagName.toLowerCase()) + ' "' + element.textContent.slice(0, 30) + '"';

  const luminance = (color) => {
    const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((part) => {
      const value = part / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/, 0\)$/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };

  for (const element of leaves) {
    const box = boxOf(element);
    const style = getComputedStyle(element);
    const px = parseFloat(style.fontSize);
    if (!scrolls(element)) {
      if (box.left < 0 || box.top < 0 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5)
        faults.push(name(element) + ' is beyond the edge');
      if (style.overflow !== 'visible' && (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 2))
        faults.push(name(element) + ' is cut off');
    }
    const [light, dark] = [luminance(style.color), luminance(ground(element))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < (px >= 24 ? 3 : 4.5)) faults.push(name(element) + ' has a contrast of ' + contrast.toFixed(1));
    const least = Math.min(innerWidth, innerHeight) / (element.id === 'raw' ? 33 : 28);
    if (px < least) faults.push(name(element) + ' has ' + px + ' px');
  }
  for (const [index, one] of leaves.entries())
    for (const other of leaves.slice(index + 1)) {
      if (one.contains(other) || other.contains(one) || (scrolls(one) && scrolls(other))) continue;
      const [a, b] = [boxOf(one), boxOf(other)];
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (width > 1 && height > 3 && !scrolls(one) && !scrolls(other)) faults.push(name(one) + ' lies upon ' + name(other));
    }
  for (const button of document.querySelectorAll('button')) {
    const { width, height } = button.getBoundingClientRect();
    if (isShown(button) && (width < 40 || height < 36)) faults.push(name(button) + ' is ' + width + ' x ' + height);
    if (isShown(button) && button.scrollWidth > button.clientWidth + 1) faults.push(name(button) + ' is too narrow');
  }
  if (document.documentElement.scrollHeight > innerHeight + 1) faults.push('the page scrolls');
  return faults;
})()`;
