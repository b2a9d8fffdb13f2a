# Reports every figure that a program shows (contract, toolbox §7.4 and §7.5), and says what ended a program; see boot.py
# for how it comes to be run. The program never fails because of a chart: what cannot be read off a figure is left out.


def kind_of(axes, patches):
    from matplotlib.collections import PathCollection
    from matplotlib.patches import PathPatch, Rectangle, Wedge

    lines, collections = list(axes.lines), list(axes.collections)
    others = list(axes.images) + list(axes.tables) + list(axes.artists)
    if not patches and not collections and not others:
        return 'line'
    if patches and not collections and not others and all(isinstance(one, PathPatch) for one in patches):
        return 'box_and_whisker'
    data_lines = [line for line in lines if not is_grid(line)]
    if data_lines or others:
        return 'unknown'
    if not patches and all(isinstance(one, PathCollection) for one in collections):
        return 'scatter'
    if not collections and all(isinstance(one, Wedge) for one in patches):
        return 'pie'
    if not collections and all(isinstance(one, Rectangle) for one in patches):
        return 'bar'
    return 'unknown'


def numbers(values):
    import math

    found = []
    for value in values:
        try:
            value = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            found.append(value)
    return found


def rounded(value):
    return float('%.9g' % float(value))


def is_date(axis):
    from matplotlib import dates

    converter = axis.get_converter() if hasattr(axis, 'get_converter') else axis.converter
    kinds = tuple(
        getattr(dates, one) for one in ('DateConverter', 'ConciseDateConverter', '_SwitchableDateConverter')
        if hasattr(dates, one)
    )
    return isinstance(converter, kinds)


def seconds(day):
    # matplotlib counts days from its epoch; clients take numbers, so dates become seconds since 1970
    from matplotlib import dates

    return dates.num2date(day).timestamp()


def coordinate(axis):
    if is_date(axis):
        return lambda value: seconds(float(value))
    return float


def points_of(axes, pairs):
    import math

    across, up = coordinate(axes.xaxis), coordinate(axes.yaxis)
    points = []
    for x, y in pairs:
        try:
            point = [across(x), up(y)]
        except Exception:
            continue
        if all(math.isfinite(value) for value in point):
            points.append(point)
    return points


def is_grid(line):
    across, up = line.get_xdata(orig=False), line.get_ydata(orig=False)
    return len(across) == 2 and len(up) == 2 and (across[0] == across[1] or up[0] == up[1])


def scale_of(axis, scale, ticks, labels):
    if is_date(axis):
        return 'datetime'
    if scale != 'linear':
        return scale
    if all(tick == index and str(index) != label for index, (tick, label) in enumerate(zip(ticks, labels))):
        return 'categorical'
    return 'linear'


def describe_axis(chart, letter, axis, scale):
    labels = [label.get_text() for label in axis.get_ticklabels()]
    ticks = numbers(axis.get_ticklocs())
    chart[letter + '_scale'] = scale_of(axis, scale, ticks, labels)
    if is_date(axis):
        ticks = [seconds(tick) for tick in ticks]
    chart[letter + '_ticks'], chart[letter + '_tick_labels'] = ticks, labels


def lines_of(axes, _chart):
    return [
        {'label': str(line.get_label()), 'points': points_of(axes, zip(line.get_xdata(orig=False), line.get_ydata(orig=False)))}
        for line in axes.lines if not is_grid(line)
    ]


def dots_of(axes, _chart):
    return [
        {'label': str(dots.get_label()), 'points': points_of(axes, dots.get_offsets())}
        for dots in axes.collections
    ]


def lie_down(chart):
    chart['x_label'], chart['y_label'] = chart.get('y_label', ''), chart.get('x_label', '')


def bars_of(axes, chart):
    elements, lying = [], False
    for group in axes.containers:
        bars = [bar for bar in group if hasattr(bar, 'get_height')]
        orientation = getattr(group, 'orientation', None)
        if orientation is None:
            heights = [bar.get_height() for bar in bars]
            orientation = 'horizontal' if len(bars) > 1 and len(set(heights)) == 1 else 'vertical'
        lying = lying or orientation == 'horizontal'
        axis = axes.yaxis if orientation == 'horizontal' else axes.xaxis
        ticks = list(zip(axis.get_ticklocs(), [label.get_text() for label in axis.get_ticklabels()]))
        for index, bar in enumerate(bars):
            if orientation == 'horizontal':
                value, start, size = bar.get_width(), bar.get_y(), bar.get_height()
            else:
                value, start, size = bar.get_height(), bar.get_x(), bar.get_width()
            under = [(abs(place - start - size / 2), label) for place, label in ticks if start <= place <= start + size]
            label = min(under)[1] if under else (ticks[index][1] if index < len(ticks) else '')
            text = '%r' % float(value)
            elements.append({
                'label': label,
                'group': str(group.get_label()),
                'value': text[:-2] if text.endswith('.0') else text,
            })
    if lying:
        lie_down(chart)
    return elements


def slices_of(_axes, _chart, patches):
    return [
        {'label': str(one.get_label()), 'angle': abs(rounded(one.theta2 - one.theta1)), 'radius': float(one.r)}
        for one in patches
    ]


def boxes_of(axes, chart, patches):
    boxes = []
    labels = [label.get_text() for label in axes.get_xticklabels()]
    for patch in patches:
        corners = patch.get_path().vertices
        across, up = [rounded(x) for x in corners[:, 0]], [rounded(y) for y in corners[:, 1]]
        boxes.append({'place': (min(across), max(across)), 'range': (min(up), max(up)), 'outliers': [], 'widest': -1})
    # Several boxes of one height are taken as lying ones, as every client knows it; a single one tells by its median.
    heights = [rounded(box['range'][1] - box['range'][0]) for box in boxes]
    if len(boxes) > 1:
        lying = len(set(heights)) == 1
    else:
        lying = any(
            len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
            and [rounded(y) for y in sorted(line.get_ydata())] == list(boxes[0]['range'])
            for line in axes.lines
        )
    if lying:
        lie_down(chart)
        tall = [label.get_text() for label in axes.get_yticklabels()]
        labels = tall if any(isinstance(label, str) and label for label in tall) and len(tall) == len(boxes) else labels
        for box in boxes:
            box['place'], box['range'] = box['range'], box['place']
    for box, label in zip(boxes, labels):
        box['label'] = label
    for line in axes.lines:
        places, values = [rounded(x) for x in line.get_xdata()], [rounded(y) for y in line.get_ydata()]
        if lying:
            places, values = values, places
        if not places:
            continue
        within = [box for box in boxes if box['place'][0] <= places[0] <= places[-1] <= box['place'][1]]
        if len(places) != 2 or line.get_linestyle() in ('None', ' ', ''):
            box = within[0] if within else None
            if box is None and lying:
                box = next((one for one in boxes if one['place'][0] <= values[0] <= one['place'][1]), None)
            if box is not None:
                box['outliers'].extend(values)
        elif within:
            box, (low, high), width = within[0], within[0]['range'], places[1] - places[0]
            if places[0] == places[1] and max(values) == low:
                box['min'] = min(values)
            elif places[0] == places[1] and min(values) == high:
                box['max'] = max(values)
            if values[0] == values[1] and low <= values[0] <= high and width > box['widest']:
                # a cap may lie on the box's edge; the median is the widest line
                box['median'], box['widest'] = values[0], width
    for box in boxes:
        box['first_quartile'], box['third_quartile'] = box.pop('range')
        del box['place'], box['widest']
    return boxes


def describe(axes):
    patches = [patch for patch in axes.patches if patch is not axes.patch]
    kind = kind_of(axes, patches)
    chart = {'type': kind, 'title': axes.get_title(), 'x_label': axes.get_xlabel(), 'y_label': axes.get_ylabel()}
    if kind == 'unknown':
        chart['elements'] = None
        return chart
    describe_axis(chart, 'x', axes.xaxis, axes.get_xscale())
    describe_axis(chart, 'y', axes.yaxis, axes.get_yscale())
    if kind in ('pie', 'box_and_whisker'):
        read = {'pie': slices_of, 'box_and_whisker': boxes_of}[kind]
        chart['elements'] = read(axes, chart, patches)
    else:
        chart['elements'] = {'line': lines_of, 'scatter': dots_of, 'bar': bars_of}[kind](axes, chart)
    return chart


def chart_of(figure):
    try:
        every = [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != '<colorbar>']
        shown = [axes for axes in every if axes.has_data()] if len(every) > 1 else every
        if not shown:
            return {'type': 'unknown', 'elements': None}
        if len(shown) == 1:
            return describe(shown[0])
        title = figure.texts[0].get_text() if figure.texts else ''
        parts = [describe(axes) for axes in shown]
        keys = ('type', 'title', 'x_label', 'y_label')
        return {
            'type': 'composite_chart', 'title': title,
            'elements': [{key: part[key] for key in keys} for part in parts],
        }
    except Exception:
        return {'type': 'unknown', 'elements': None}


def picture(figure, **options):
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', **options)
    return buffer.getvalue()


def squeezed(png):
    try:
        import io

        from PIL import Image

        buffer = io.BytesIO()
        Image.open(io.BytesIO(png)).save(buffer, format='PNG', optimize=True)
        return min(png, buffer.getvalue(), key=len)
    except Exception:
        return png


seen = set()


def finite(value):
    """JSON knows no other numbers; what is none is left out."""
    if isinstance(value, float):
        return value if abs(value) < float('inf') else None
    if isinstance(value, dict):
        parts = {key: finite(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not None}
    if isinstance(value, (list, tuple)):
        return [part for part in map(finite, value) if part is not None]
    return value


def report(figure, marker):
    import base64
    import hashlib
    import json
    import sys

    digest = hashlib.sha256(picture(figure, dpi=50)).digest()
    if digest in seen:
        return
    seen.add(digest)
    chart = chart_of(figure)
    chart['png'] = base64.b64encode(squeezed(picture(figure, dpi=100, bbox_inches='tight'))).decode()
    sys.stdout.flush()
    sys.__stdout__.write(marker + json.dumps({'type': 'chart', 'value': finite(chart)}, default=str) + '\n')
    sys.__stdout__.flush()


def watch(pyplot, marker):
    show = pyplot.show

    def show_and_report(*arguments, **options):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            for number in pyplot.get_fignums():
                try:
                    report(pyplot._pylab_helpers.Gcf.figs[number].canvas.figure, marker)
                except Exception:
                    pass
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings('ignore', message='.*non-interactive.*')
                return show(*arguments, **options)
        finally:
            pyplot.close('all')

    pyplot.show = show_and_report


def watched(wanted, marker):
    """Where a module comes from, and what is done once it is loaded."""
    import importlib.util

    spec = importlib.util.find_spec(wanted)
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def exec_module(module):
        execute(module)
        watch(module, marker)

    spec.loader.exec_module = exec_module
    return spec


def explain(error, _source, _name):
    """Says what ended a program, without the frame that runs it."""
    import sys

    trace = error.__traceback__ and error.__traceback__.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def explain_target(error, source, name):
    """Says what ended a program, by its innermost frame alone."""
    import linecache
    import sys
    import traceback

    text = source.decode()
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    parts = traceback.format_exception_only(type(error), error)
    if frames:
        parts = ['Traceback (most recent call last):\n'] + traceback.format_list(frames[-1:]) + parts
    sys.stdout.flush()
    sys.stderr.write(''.join(parts))
