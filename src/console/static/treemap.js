// Squarified treemap (Bruls, Huizing, van Wijk 2000): areas by size, as near to squares as they can be.

// `items`: [{size}], largest first; `width`, `height` in any unit. Gives [{item, x, y, width, height}].
export function treemap(items, width, height) {
  const total = items.reduce((sum, item) => sum + item.size, 0);
  if (!(total > 0)) return [];
  const scale = (width * height) / total;
  const tiles = [];
  let rest = {x: 0, y: 0, width, height};
  let row = [];
  for (const item of items) {
    const area = item.size * scale;
    const side = Math.min(rest.width, rest.height);
    if (row.length > 0 && worst([...row, {item, area}], side) > worst(row, side)) {
      rest = layRow(row, rest, tiles);
      row = [];
    }
    row.push({item, area});
  }
  layRow(row, rest, tiles);
  return tiles;
}

// The largest ratio of sides in a row along `side`.
function worst(row, side) {
  const sum = row.reduce((total, {area}) => total + area, 0);
  const areas = row.map(({area}) => area);
  return Math.max((side * side * Math.max(...areas)) / (sum * sum), (sum * sum) / (side * side * Math.min(...areas)));
}

// Along the shorter side of what is left; gives what is left then.
function layRow(row, {x, y, width, height}, tiles) {
  const sum = row.reduce((total, {area}) => total + area, 0);
  const isColumn = width >= height;
  const depth = sum / (isColumn ? height : width);
  let at = isColumn ? y : x;
  for (const {item, area} of row) {
    const length = area / depth;
    tiles.push(isColumn ? {item, x, y: at, width: depth, height: length} : {item, x: at, y, width: length, height: depth});
    at += length;
  }
  return isColumn ? {x: x + depth, y, width: width - depth, height} : {x, y: y + depth, width, height: height - depth};
}
